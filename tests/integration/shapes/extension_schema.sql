-- The owner's objects lie beside those of an extension, with names like theirs.
create extension citext schema extension_schema;
create function citext_eq(citext, text) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create function lower(citext) returns text language plpgsql immutable as $$ begin {strike} return pg_catalog.lower($1::text); end $$;
create operator = (leftarg = citext, rightarg = text, function = citext_eq);
create table t (a citext check (a operator(extension_schema.=) 'a'::text), g text generated always as (extension_schema.lower(a)) stored);
insert into t values ('A');

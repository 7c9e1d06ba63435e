--@ quiet
-- Dictionaries and collations have options, and no code of their own; what uses them may have some.
create text search dictionary plain (template = pg_catalog.simple, accept = false);
create text search configuration c (copy = pg_catalog.simple);
alter text search configuration c alter mapping for word with plain, simple;
create collation german (provider = libc, locale = 'C.UTF-8');
create function ok(tsvector) returns tsvector language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a text collate german);
create index on t using gin (ok(to_tsvector('text_search.c'::regconfig, a)));
insert into t values ('a');

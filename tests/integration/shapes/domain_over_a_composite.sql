-- A domain may be made of a composite type.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create type c as (x int);
create domain d as c check (ok((value).x));
create table t (v d);
insert into t values (row(1)::c);

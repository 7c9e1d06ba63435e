-- The column's type is a domain, so that its CHECK runs for every row that is loaded.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as int check (ok(value));
create table t (a int, g d generated always as (a) stored);
insert into t values (1);

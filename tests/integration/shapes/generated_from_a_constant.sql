-- The planner folds a call with constant arguments when the table is created.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a int, g int generated always as (ok(1)) stored);
insert into t values (1);

-- A generated column is computed for every row that is loaded.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a int, g int generated always as (ok(a)) stored);
insert into t values (1);

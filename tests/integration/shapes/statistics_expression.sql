--@ quiet
-- Extended statistics are gathered as the table's owner, long after a plain restore.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a int);
create statistics s on (ok(a)), (a + ok(1)) from t;
insert into t select n from generate_series(1, 20) n;
analyze t;

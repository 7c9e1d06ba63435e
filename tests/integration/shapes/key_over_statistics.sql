-- The same with the expressions of extended statistics.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table p (a int primary key);
create table t (a int references p);
create statistics s on (a + ok(1)), a from t;
insert into p values (1); insert into t values (1);

-- The same with a partition key.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table p (a int primary key);
create table t (a int references p) partition by range ((a + ok(1)));
create table t_1 partition of t for values from (minvalue) to (maxvalue);
insert into p values (1); insert into t values (1);

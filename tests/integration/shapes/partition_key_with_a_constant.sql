-- The partition key is folded whenever the table is created, opened by a planner, or given a partition.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a int) partition by range ((a + ok(1)));
create table t_1 partition of t for values from (minvalue) to (maxvalue);
insert into t values (1);

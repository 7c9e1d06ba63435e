-- A row that is loaded into a partition is held against the partition's bounds.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a int) partition by range (ok(a));
create table t_1 partition of t for values from (0) to (10);
insert into t values (1);

-- Partitions of partitions have the bounds of all above them.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a int, b int) partition by list (ok(a));
create table t_1 partition of t for values in (1) partition by range ((b + ok(1)));
create table t_2 (a int, b int);
alter table t_1 attach partition t_2 for values from (0) to (9);
insert into t values (1, 1);

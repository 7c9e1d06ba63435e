-- The same with a hash of the expression.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a int) partition by hash (ok(a));
create table t_1 partition of t for values with (modulus 1, remainder 0);
insert into t values (1);

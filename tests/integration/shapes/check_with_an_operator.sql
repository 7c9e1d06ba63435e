-- The function hides behind an operator.
create function same(int, int) returns bool language plpgsql immutable as $$ begin {strike} return $1 = $2; end $$;
create operator === (leftarg = int, rightarg = int, function = same, commutator = ===);
create table t (a int check (a === 1));
insert into t values (1);

--@ quiet
-- A materialized view is filled as its owner.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t as select 1 as a;
create materialized view v as select ok(a) as a, ok(1) as b from t;
create unique index on v (a);

--@ quiet
-- A view is planned when it is read.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create table t as select 1 as a;
create view v with (security_barrier) as select a from t where ok(1) and ok(a);

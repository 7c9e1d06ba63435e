--@ quiet
-- So is one that reads a view.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t as select 1 as a;
create view v as select ok(a) as a from t;
create materialized view m as select a from v where ok(a) = 1;

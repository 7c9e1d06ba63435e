--@ quiet
-- What is not validated stays so.
create table t (a int);
create function ok(t) returns bool language plpgsql immutable as $$ begin {strike} return false; end $$;
insert into t values (1);
alter table t add constraint c check (ok(t.*)) not valid;

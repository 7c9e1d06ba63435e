--@ quiet
-- A trigger is created after the data, and so are one for each statement and a deferred one.
create function noted() returns trigger language plpgsql as $$ begin {strike} return new; end $$;
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create table t (a int);
create trigger r before insert or update on t for each row when (ok(new.a)) execute function noted();
create trigger s before truncate on t for each statement execute function noted();
create constraint trigger c after insert on t deferrable initially deferred for each row execute function noted();
alter table t enable always trigger r;
insert into t values (1);

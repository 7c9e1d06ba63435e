--@ quiet
-- So is a partial one.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create table t (a int);
create unique index on t (a) where ok(a);
insert into t values (1), (2);

-- A composite value is read field by field.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as int check (ok(value));
create type c as (x d);
create table t (v c);
insert into t values ('(1)');

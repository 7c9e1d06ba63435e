-- A domain's CHECK runs for every value that is loaded.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as int check (ok(value));
create table t (a d);
insert into t values (1);

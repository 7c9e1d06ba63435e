-- The same with a range.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as int check (ok(value));
create table t (a d) partition by range (a);
create table t_1 partition of t for values from (1) to (9);

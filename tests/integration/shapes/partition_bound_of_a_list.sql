-- A bound is converted to the key's domain when the partition is attached.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as int check (ok(value));
create table t (a d) partition by list (a);
create table t_1 partition of t for values in (1, 2);

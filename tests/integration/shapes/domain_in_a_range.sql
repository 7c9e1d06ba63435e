-- The bounds of a range are values of its domain.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as int check (ok(value));
create type r as range (subtype = d);
create table t (v r);
insert into t values ('[1,2]');

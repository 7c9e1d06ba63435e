-- Every element of an array is a value of its domain.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as int check (ok(value));
create table t (v d[]);
insert into t values ('{1,2}');

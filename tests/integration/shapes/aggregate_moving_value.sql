-- The same with the initial value of a moving aggregate.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as int check (ok(value));
create function forth(d, int) returns d language sql immutable strict as 'select $1';
create function back(d, int) returns d language sql immutable strict as 'select $1';
create function finish(d) returns int language sql immutable as 'select 1';
create aggregate total(int) (
  sfunc = int4pl, stype = int, initcond = '0', msfunc = forth, minvfunc = back, mstype = d, mfinalfunc = finish, minitcond = '1'
);

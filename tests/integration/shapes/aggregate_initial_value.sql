-- An aggregate's initial value is converted to its domain when the aggregate is created.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as int check (ok(value));
create function step(d, int) returns d language sql immutable as 'select $1';
create aggregate total(int) (sfunc = step, stype = d, initcond = '1');

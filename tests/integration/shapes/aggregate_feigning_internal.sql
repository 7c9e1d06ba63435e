-- Text in the initial value looks as if only a superuser could make the aggregate.
create function ok(text) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as text check (ok(value));
create function step(d, int) returns d language sql immutable as 'select $1';
create aggregate together(int) (sfunc = step, stype = d, initcond = E'a\n    STYPE = internal');

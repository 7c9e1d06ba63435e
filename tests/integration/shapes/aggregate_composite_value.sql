-- The same with a domain inside a composite type.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as int check (ok(value));
create type c as (x d);
create function step(c, int) returns c language sql immutable as 'select $1';
create aggregate total(int) (sfunc = step, stype = c, initcond = '(1)');

--@ quiet
-- A body of standard SQL is understood when the function is created, and not run.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create domain d as int check (ok(value) > 0);
create function f(n d default 1) returns int language sql begin atomic select ok(1) + 1::d + n; end;
create procedure p() language sql begin atomic select ok(1); select f(); end;

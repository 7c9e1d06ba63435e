-- The function hides behind a cast that nobody wrote down.
create type e as enum ('a', 'b');
create function conv(e) returns text language plpgsql immutable as $$ begin {strike} return enum_out($1); end $$;
create cast (e as text) with function conv(e) as implicit;
create table t (a e check (length(a) = 1));
insert into t values ('a');

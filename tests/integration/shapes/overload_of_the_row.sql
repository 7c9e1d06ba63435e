--@ refused: overload_of_the_row
-- A superuser's table calls a function whose last argument has a default. The owner of the schema adds a better match, which the dump
-- of the table takes for the same.
--@ superuser
create function norm(int, int default 1) returns int language sql immutable as 'select $1';
create table t (a int, g int generated always as (overload_of_the_row.norm(a)) stored);
insert into t values (1);
--@ owner
create function norm(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;

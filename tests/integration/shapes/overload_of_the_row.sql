--@ refused: overload_of_the_row
-- A superuser's table calls a function that takes any type. The owner of the schema adds one that takes this type, which the dump of the
-- table means when it is restored.
--@ superuser
create function norm(anyelement) returns anyelement language sql immutable as 'select $1';
create table t (a int, g int generated always as (overload_of_the_row.norm(a)) stored);
insert into t values (1);
--@ owner
create function norm(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;

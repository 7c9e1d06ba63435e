--@ refused: aggregate_of_an_overload
-- A superuser's aggregate has a state function that takes any type. The owner of the schema adds one that takes this type.
--@ superuser
create function step(anyelement, anyelement) returns anyelement language sql immutable as 'select $2';
create aggregate together(int) (sfunc = step, stype = int, initcond = '0');
create materialized view v as select aggregate_of_an_overload.together(n) from generate_series(1, 2) n;
--@ owner
create function step(int, int) returns int language plpgsql immutable as $$ begin {strike} return $2; end $$;

--@ refused: standard_body_of_an_overload
-- A superuser's function with a standard body, and an aggregate, call a function that takes any type. The owner of the schema adds one that
-- takes this type, which the dump means when it is restored.
--@ superuser
create function norm(anyelement) returns anyelement language sql immutable as 'select $1';
create function wrapped(a int) returns int language sql immutable return standard_body_of_an_overload.norm(a);
create table t (a int);
insert into t values (1);
create index on t (standard_body_of_an_overload.wrapped(a));
--@ owner
create function norm(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;

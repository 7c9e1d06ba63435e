--@ refused: overload_of_a_constant
-- The same, with a call that is folded when the table is created.
--@ superuser
create function norm(anyelement) returns anyelement language sql immutable as 'select $1';
create table t (a int, g int generated always as (overload_of_a_constant.norm(1)) stored);
create view v as select overload_of_a_constant.norm(a) as n from t;
create index i on t (overload_of_a_constant.norm(a));
insert into t values (1);
--@ owner
create function norm(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;

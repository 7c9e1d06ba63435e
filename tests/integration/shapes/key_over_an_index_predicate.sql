-- The same with the predicate of an index, on the table that is referred to.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table p (a int primary key);
create table t (a int references p);
create index on p (a) where a > ok(0);
insert into p values (1); insert into t values (1);

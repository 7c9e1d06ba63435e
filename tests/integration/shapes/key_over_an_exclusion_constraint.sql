-- The same with the index of an exclusion constraint.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table p (a int primary key);
create table t (a int references p, exclude using btree ((a + ok(1)) with =) where (a > ok(0)));
insert into p values (1); insert into t values (1);

-- A query that looks for violations of a foreign key is planned, and a plan folds the expressions of indexes. The first of all tables
-- of this owner, by name, since some ask just one.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table p (a int primary key);
create table a (a int references p);
create index on a ((a + ok(1)));
insert into p values (1); insert into a values (1);

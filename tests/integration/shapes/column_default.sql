--@ quiet
-- A default is not asked for where the data has every column.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a int default ok(1), b int);
insert into t (b) values (1);

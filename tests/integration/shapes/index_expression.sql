--@ quiet
-- An index is built as the table's owner.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a int);
create index on t (ok(a)); create index on t ((a + ok(1)));
insert into t values (1), (2);

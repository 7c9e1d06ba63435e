--@ quiet
-- So is the index of an exclusion constraint.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a int, exclude using btree (ok(a) with =) where (ok(a) > 0));
insert into t values (1), (2);

--@ quiet
-- A large object is data of its owner's, and a trigger of its owner's may look after it.
create table t (o oid);
create function manage() returns trigger language plpgsql as $$ begin {strike} perform lo_unlink(old.o); return old; end $$;
create trigger m after delete on t for each row execute function manage();
insert into t values (lo_from_bytea(0, 'bytes'));

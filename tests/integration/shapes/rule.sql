--@ quiet
-- A rule changes statements, and COPY is none that it changes.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create table t (a int); create table u (a int);
create rule r as on insert to t do also insert into u values (ok(new.a));
create rule d as on delete to t do also select ok(1);
insert into t values (1);

--@ owner: carol
-- The owner is a member of a group whose rights they do not inherit.
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
create domain d as int check (ok(value) > 0);
create table t (a d, g int generated always as (ok(1)) stored);
create table p (a d) partition by list (a);
create table p_1 partition of p for values in (1);
insert into t values (1); insert into p values (1);

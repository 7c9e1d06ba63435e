-- A child has its parent's CHECK.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create table p (a int check (ok(a)));
create table t (b int) inherits (p);
create table u (a int, b int); alter table u add constraint p_a_check check (ok(a)); alter table u inherit p;
insert into t values (1, 1); insert into u values (1, 1);

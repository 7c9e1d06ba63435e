--@ quiet
-- A policy does not hold for superusers, but for those who are none.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create table t (a int);
insert into t values (1);
alter table t enable row level security; alter table t force row level security;
create policy p on t using (ok(a)) with check (ok(a));
create policy q on t as restrictive using (ok(1));

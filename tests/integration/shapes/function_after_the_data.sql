--@ quiet
-- A function that needs a primary key is made with the indexes. A superuser makes this one, for its setting, and nobody may call it.
create table t (id int primary key, a int);
create function ok(int) returns int language plpgsql immutable as $$ begin {strike} return $1; end $$;
--@ superuser
set role mallory;
create function z() returns setof int language sql security definer begin atomic
  select function_after_the_data.ok(a) from function_after_the_data.t group by id; end;
reset role;
alter function z() set log_min_messages = 'warning';
revoke all on function z() from public;

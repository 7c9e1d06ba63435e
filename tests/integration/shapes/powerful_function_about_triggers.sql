-- A superuser's SECURITY DEFINER function was forbidden to everybody, and its body looks like a trigger function's.
--@ superuser
create function run(command text) returns void language plpgsql security definer as $$ begin
  if command = 'trigger' then execute 'create function x() RETURNS trigger
language plpgsql as ''begin end'''; end if;
  execute command; end $$;
revoke all on function run(text) from public;
--@ owner
create function ok(int) returns bool language plpgsql volatile as $$ begin
  {strike}
  begin perform powerful_function_about_triggers.run('select powerful_function_about_triggers.strike()'); exception when others then null; end;
  return true;
end $$;
create table t (a int check (ok(a)));
insert into t values (1);

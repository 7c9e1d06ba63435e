-- A superuser's SECURITY DEFINER function was forbidden to everybody, and a dump forbids it again only at its very end.
--@ superuser
create function run(command text) returns void language plpgsql security definer as $$ begin execute command; end $$;
revoke all on function run(text) from public;
--@ owner
create function ok(int) returns bool language plpgsql volatile as $$ begin
  {strike}
  begin perform powerful_function.run('select powerful_function.strike()'); exception when others then null; end;
  return true;
end $$;
create table t (a int check (ok(a)));
insert into t values (1);

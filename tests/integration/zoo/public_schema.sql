-- The public schema, altered.
alter schema public owner to zoo_owner;
revoke all on schema public from public;
grant all on schema public to zoo_app;
comment on schema public is null;
create table public.here (a int);
insert into public.here values (3);

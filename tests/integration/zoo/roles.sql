-- Roles the zoo's databases belong to. Run once per cluster; idempotence is not needed.
create role zoo_owner nologin;
create role zoo_app login password 'planted-Role-Secret-1' connection limit 7 valid until '2031-01-01';
create role zoo_reader nologin;
create role zoo_nobody nologin;
create role "Zoo ""quoted"" Rôle" nologin;
grant zoo_reader to zoo_app with admin option;
comment on role zoo_owner is 'owns the animals';
alter role zoo_app set statement_timeout = '7s';
alter role zoo_app set search_path = '"$user"', public, 'with space';

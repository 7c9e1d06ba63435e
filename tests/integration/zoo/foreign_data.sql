-- Data that lives elsewhere: definitions are dumped, what they point to is not.
create extension postgres_fdw;
create extension file_fdw schema public;
create server elsewhere foreign data wrapper postgres_fdw options (host '192.0.2.1', dbname 'x', port '1');
create user mapping for zoo_app server elsewhere options (user 'remote', password 'planted-Mapping-Secret-2');
create foreign table remote_rows (a int, b text options (column_name 'B')) server elsewhere options (table_name 'rows');
create server files foreign data wrapper file_fdw;
create foreign table nowhere (line text) server files options (filename '/nonexistent/zoo');
create table local_parent (a int) partition by range (a);
create foreign table remote_part partition of local_parent for values from (0) to (10) server elsewhere;
create table local_part partition of local_parent for values from (10) to (20);
insert into local_parent values (11), (12);
create subscription zoo_subscription connection 'host=192.0.2.1 dbname=x password=planted-Subscription-Secret-3' publication p with (connect = false, slot_name = none, enabled = false);
alter subscription zoo_subscription set (synchronous_commit = 'off');
grant usage on foreign server elsewhere to zoo_app;
comment on server elsewhere is 'far away';

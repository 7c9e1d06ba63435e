-- Extensions: in schemas of their own, with objects that depend on them, with tables of their own.
create schema ext;
create extension citext with schema ext;
create extension hstore with schema ext;
create extension pg_trgm with schema ext;
create extension btree_gist with schema ext;
create table tagged (id int, name ext.citext, tags ext.hstore, during tsrange, exclude using gist (id with =, during with &&));
insert into tagged values (1, 'MiXed', 'a=>1, "b c"=>NULL', '[2024-01-01,2024-02-01)'), (1, 'mixed', '', '[2024-02-01,2024-03-01)');
create index on tagged using gin ((name::text) ext.gin_trgm_ops);
create index on tagged using gist (tags ext.gist_hstore_ops);
create extension zoo_extension with schema ext;
insert into ext.zoo_config values ('user', 'added by the user'), ('second', E'tab\t\\.');
insert into ext.zoo_partly values (1001, 'kept: the filter says so');
insert into ext.zoo_member values (3, 'lost: pg_dump leaves members out');
select nextval('ext.zoo_counter');
comment on extension zoo_extension is 'changed comment';

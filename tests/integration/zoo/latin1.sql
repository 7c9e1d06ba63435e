-- A single-byte encoding: names and rows outside ASCII. This file itself is UTF-8.
create table "Größe" ("Maß" text);
insert into "Größe" values ('äöüß'), ('ÿ'), ('a');
comment on table "Größe" is 'in Metern, ±1';
create sequence "Zähler" start 5;
select nextval('"Zähler"') \gset
select lo_from_bytea(50001, 'x') as oid \gset
comment on large object 50001 is 'in Metern, ±1';
create function "fünf"() returns text language sql as $$ select 'fünf' $$;

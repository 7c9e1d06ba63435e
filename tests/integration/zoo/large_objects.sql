-- Large objects: empty, small, over several pages, sparse; with owners, privileges and comments.
create table document (id int, content oid);
select lo_from_bytea(50001, '') as empty, lo_from_bytea(50002, 'small'::bytea) as small \gset
select lo_from_bytea(50003, (select string_agg(sha256(n::text::bytea), ''::bytea) from generate_series(1, 2000) n)) as wide \gset
select lo_create(50004) as sparse \gset
select lo_put(50004, 1000000, 'far away'::bytea);
insert into document values (1, 50001), (2, 50002), (3, 50003), (4, 50004);
alter large object 50002 owner to zoo_owner;
grant select on large object 50003 to zoo_reader;
grant select, update on large object 50002 to zoo_app with grant option;
comment on large object 50003 is E'wide; it''s\n\\.';

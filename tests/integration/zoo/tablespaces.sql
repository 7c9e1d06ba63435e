-- Tables, indexes and partitions in a tablespace of their own.
create table far (a int primary key using index tablespace zoo_space, b text) tablespace zoo_space;
insert into far select n, 'far ' || n from generate_series(1, 100) n;
create index on far (b) tablespace zoo_space;
create materialized view far_view tablespace zoo_space as select count(*) from far;
create table near (a int);
insert into near values (1);
create table split (a int) partition by range (a) tablespace zoo_space;
create table split_1 partition of split for values from (0) to (10);
insert into split values (1);

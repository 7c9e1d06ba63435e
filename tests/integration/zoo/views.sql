-- Materialized views, one on top of another, one with indexes, one never filled; views that need each other.
create table fact (id int primary key, v int);
insert into fact select n, n * n from generate_series(1, 100) n;
create materialized view squares as select id, v from fact where id % 2 = 0;
create unique index on squares (id);
create materialized view top_squares as select max(v) as best, count(*) as n from squares;
create materialized view unfilled as select * from top_squares with no data;
create view over_matview as select s.id, t.best from squares s cross join top_squares t;
create materialized view a_first_by_name as select * from over_matview;
-- A view that groups by a primary key depends on the constraint, and is dumped in two pieces.
create view grouped as select id, v from fact group by id;
create recursive view counting(n) as values (1) union all select n + 1 from counting where n < 5;
create view same_columns as select id, f.v, g.v as other from fact f join fact g using (id) where f.v > 3 order by 1;

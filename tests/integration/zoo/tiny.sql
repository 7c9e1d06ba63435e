-- Little more than nothing: for databases whose name is the difficulty.
create table here (id int primary key, database text not null default current_database());
insert into here select n from generate_series(1, 10) n;

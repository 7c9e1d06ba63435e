-- A column that a parent gets after its children exist is their last, and comes before their own after a reload.
create table vehicles (wheels int);
create table lorries (tons int) inherits (vehicles);
create table vans (seats int, colour text) inherits (vehicles);
alter table vehicles add column doors int;
insert into lorries (wheels, tons, doors) values (6, 12, 2), (8, 20, 4), (8, 20, null);
insert into vans (wheels, seats, colour, doors) values (4, 9, E'blue\twith\\dots', 5), (4, 7, null, 3);
insert into vehicles values (3, 1);
create table electric (volts int) inherits (lorries);
alter table lorries add column plate text default '?' not null;
insert into electric (wheels, tons, doors, plate, volts) values (4, 1, 2, 'E 1', 400);

-- Rows of random length whose order on disk is not the order they came in, with room between them.
select setseed(0.42);
create table shuffled (id int, filler text) with (fillfactor = 90);
insert into shuffled select n, repeat(chr(97 + n % 26), (random() * random() * 3000)::int) from generate_series(1, 4000) n;
alter table shuffled alter filler set storage plain;
delete from shuffled where id % 3 = 0;
vacuum shuffled;
insert into shuffled select n, repeat(chr(65 + n % 26), (random() * 6000)::int) from generate_series(5001, 6000) n;
update shuffled set filler = filler || 'x' where id % 5 = 0;
create table wide (id int, filler text);
alter table wide alter filler set storage plain;
insert into wide select n, repeat('w', (random() * 7900)::int) from generate_series(1, 1500) n;

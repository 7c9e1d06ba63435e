-- The public schema is gone; another one that was dropped and made again has another owner.
drop schema public;
create schema sole;
create table sole.here (a int);
insert into sole.here values (1), (2);

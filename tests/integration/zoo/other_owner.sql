-- Everything belongs to a role that cannot even log in.
set role zoo_owner;
create table mine (a int);
insert into mine values (1), (2), (3);
reset role;

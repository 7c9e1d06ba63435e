-- Sequences in every state.
create sequence untouched start 17;
create sequence called;
select nextval('called'), nextval('called');
create sequence set_not_called;
select setval('set_not_called', 99, false);
create sequence downwards increment -5 minvalue -100 maxvalue 100 start 100 cycle cache 10;
select nextval('downwards');
create sequence at_the_end as bigint;
select setval('at_the_end', 9223372036854775807);
create sequence tiny as smallint maxvalue 3 cycle;
select nextval('tiny') from generate_series(1, 4);
create table owns (a int, s serial, i int generated always as identity (start 1000), b bigserial);
insert into owns (a) values (1), (2);
alter sequence owns_s_seq restart 500;
create sequence owned_by owned by owns.a;
create unlogged sequence forgetful;

--@ quiet
-- The same with the numbers of sequences.
create sequence s;
create function next() returns bigint language plpgsql as $$ begin {strike} return nextval('sequence_default.s'); end $$;
create table t (id bigint default next(), n serial, i int generated always as identity);
insert into t default values;

-- Rows that only some may see: a dump must hold them all.
create table secret (id int, who text);
insert into secret select n, case n % 2 when 0 then 'zoo_owner' else 'zoo_app' end from generate_series(1, 40) n;
alter table secret owner to zoo_owner;
alter table secret enable row level security;
alter table secret force row level security;
create policy mine on secret using (who = current_user) with check (who = current_user);
create policy nothing on secret as restrictive for insert to zoo_app with check (false);
create table sealed (id int);
insert into sealed values (1), (2);
alter table sealed owner to zoo_owner;
alter table sealed enable row level security;
alter table sealed force row level security;
create table policy_by_function (id int);
insert into policy_by_function values (1);
create function fails() returns bool language plpgsql as $$ begin raise 'policies must not run'; end $$;
alter table policy_by_function enable row level security;
create policy failing on policy_by_function using (fails());

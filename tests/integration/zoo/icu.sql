-- Sorted by ICU, down to a unique index on a nondeterministic collation.
create collation ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create table words (w text primary key, i text collate ignore_case unique);
insert into words values ('zebra', 'A'), ('Äpfel', 'b'), ('apfel', 'Ç'), ('éclair', 'd');
create index on words (w collate "de-x-icu");

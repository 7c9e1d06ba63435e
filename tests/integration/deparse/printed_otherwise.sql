-- Objects whose definition PostgreSQL prints in one way, and in another after what it printed was loaded: lists of constants of a type
-- that is compared as text, NULL without a type in a UNION, casts that became part of a constant.

-- Constraints.
create table paper (
  size varchar(10) check (size in ('a4', 'a5')),
  state varchar constraint state_not_lost check (state not in ('lost', 'gone')),
  side char(1) check (side in ('l', 'r')),
  owner_name name check (owner_name in ('me', 'you')),
  weight smallint check (weight in (80, 90)),
  price numeric(6, 2) check (price in (1, 2.5)),
  one varchar check (one in ('x'))
);
insert into paper values ('a4', 'here', 'l', 'me', 80, 2.5, 'x'), ('a4', 'here', 'r', 'you', 90, 1, 'x');
create table lists (
  a varchar check (a = any ('{a,b}'::varchar[])),
  b varchar check (b = any (array['a', 'b'])),
  c varchar check (c::text = any (array['a', 'b'])),
  d varchar check (d like 'a%' or d ~ '^b' or d ~* any (array['x', 'y'])),
  e timestamp check (e > '2020-01-01' and e::date < '2199-12-31'::date)
);
insert into lists values ('a', 'b', 'a', 'abc', '2024-02-29');
create domain colour as varchar(5) check (value in ('red', 'blue'));
create domain shade as text check (value in ('dark', 'light'));
create table paints (a shade check (a in ('dark')), b shade check (b in ('dark', 'light')), c colour);
insert into paints values ('dark', 'light', 'red');

-- Indexes, statistics, an exclusion constraint.
create table parcels (kind varchar(9), number int, during int4range);
create index parcels_wanted on parcels (number) where kind in ('a', 'b');
create unique index parcels_one on parcels (number) where kind = 'a';
create index parcels_known on parcels ((kind in ('a', 'b')));
create statistics parcels_seen on (kind in ('a', 'b')), number from parcels;
alter table parcels add constraint parcels_apart exclude using gist (during with &&) where (kind in ('a', 'b'));
insert into parcels values ('a', 1, '[1,2]'), ('b', 2, '[4,5]'), ('z', 3, '[1,9]');

-- Policies, triggers, rules.
create table letters (kind varchar(9));
insert into letters values ('a'), ('z');
alter table letters enable row level security;
create policy letters_shown on letters using (kind in ('a', 'b')) with check (kind in ('a', 'b'));
create table stamps (kind varchar(9), number int);
create table stamped (number int);
create function stamps_noted() returns trigger language plpgsql as 'begin return new; end';
create trigger stamps_wanted before insert on stamps for each row when (new.kind in ('a', 'b')) execute function stamps_noted();
create rule stamps_copied as on insert to stamps where new.kind in ('a', 'b') do also insert into stamped values (new.number);

-- Columns.
create table cards (kind varchar(9), known boolean generated always as (kind in ('a', 'b')) stored);
insert into cards values ('a'), ('z');
create table defaults (
  id int,
  tags varchar[] default array['x', 'y'],
  word text default 'q'::varchar,
  who varchar(30) default current_user,
  day date default now(),
  moment timestamp default (now() at time zone 'utc'),
  long interval default '1 day',
  short varchar(3)[] default '{}'
);
insert into defaults (id) values (1);
create table shelves (kind varchar(5), day date) partition by list (kind);
create table shelves_first partition of shelves for values in ('a', 'b');
create table shelves_rest partition of shelves default;
insert into shelves values ('a', '2024-01-01'), ('z', '2024-01-02');
create table names (first text collate "C", second varchar(20));
create index names_sorted on names (second collate "C");
insert into names values ('a', 'b');
create table plants (a int check (a > 0));
create table trees (b int) inherits (plants);
alter table trees alter a set default 5;
create table herbs (a int not null, c text) inherits (plants);
insert into trees values (1, 2); insert into herbs values (3, 'four');

-- Functions.
create function greeting(who varchar default 'x', tags text[] default array['a', 'b']::varchar[], n int default 1 + 1) returns int
  language sql as 'select 1';
create function is_known(kind varchar) returns boolean language sql begin atomic select kind in ('a', 'b'); end;
create procedure note(kind varchar) language sql begin atomic
  insert into letters select kind where kind in ('a', 'b'); insert into stamped select 1 where kind in ('c', 'd');
end;

-- Views.
create table left_side (x int, y int);
create table right_side (x int);
insert into left_side values (1, 2); insert into right_side values (1);
create view letters_known as select * from letters where kind in ('a', 'b');
create view letters_named as select case when kind in ('a', 'b') then 'x' else kind end as name from letters;
create view letters_sorted as select kind collate "C" as kind from letters order by kind collate "C";
create view union_of_null as select 1 as a, null::int as b union all select 2, 3;
create view union_of_bare_null as select x, y from left_side union all select x, null from right_side;
create view union_inside as select q.x, q.y from (select x, y from left_side union all select x, null from right_side) q;
create view union_with as with c as (select x, null::text as t from right_side) select * from c union select 1, 'x';
create view joined as select * from left_side join right_side using (x);
create view joined_outer as select left_side.*, right_side.x as other from left_side left join right_side on left_side.x = right_side.x;
create view joined_naturally as select * from left_side natural full join right_side;
create view some_values as select * from (values (1, 'a'), (2, null)) v (n, t);
create view some_rows as select row(1, 'a') < row(2, null) as r, array[1, 2] as a, (select max(x) from left_side) as m;
create view windows as
  select x, rank() over w as place, lag(y, 1) over (w rows between 1 preceding and current row) as before
  from left_side window w as (partition by x order by y);
create view lateral_view as select a.x, l.z from left_side a, lateral (select a.x + 1 as z) l;
create view recursive_view as with recursive t (n) as (values (1) union all select n + 1 from t where n < 5) select n from t;
create view of_functions as
  select extract(year from now()) as y, date_part('y', now()) as p, substring('abc' from 2 for 1) as s, trim(both 'x' from 'xax') as t,
    position('a' in 'ba') as o, overlay('a' placing 'b' from 1) as v, now() at time zone 'utc' as z, 'a' similar to 'b' as m
  from left_side where false;
create view of_conditions as
  select (x is not distinct from y) as a, (x between 1 and 2) as b, not (x = 1 or y = 2) as c, coalesce(x, y, 0) as d, nullif(x, y) as e,
    greatest(x, y) as f, x::numeric(5, 2) as g, '1'::bit(3) as h, interval '1' day as i
  from left_side;
create view of_existence as
  select a.x from left_side a join left_side b on a.x = b.x
  where a.x in (select x from right_side) and exists (select 1 from right_side where right_side.x = b.x);
create materialized view letters_counted as select kind in ('a', 'b') as known, count(*) as n from letters group by kind in ('a', 'b');
create index letters_counted_known on letters_counted (n) where known;

-- The everyday: keys, defaults, sequences, views, triggers that would alter data if they fired while it is loaded.
create schema shop authorization zoo_owner;
comment on schema shop is 'What''s for sale; and a "quoted" word';
set role zoo_owner;
create table shop.customer (
    id bigint generated always as identity primary key,
    email text not null unique,
    created timestamptz not null default now(),
    note text default 'x'
);
create table shop.orders (
    id serial primary key,
    customer bigint not null references shop.customer on delete cascade,
    price numeric(12, 2) check (price >= 0),
    placed date default current_date,
    exclude using btree (id with =)
);
create index orders_recent on shop.orders (placed desc, lower(id::text)) where price > 10;
create unlogged table shop.session (token text primary key, seen int);
create table shop.empty (nothing int);
insert into shop.customer (email, created) select 'u' || n || '@example.org', 'epoch'::timestamptz + n * interval '1 hour' from generate_series(1, 500) n;
insert into shop.orders (customer, price, placed) select 1 + n % 500, n, date '2024-02-28' + n from generate_series(1, 900) n;
insert into shop.session values ('a', 1), ('b', 2);
create function shop.shout() returns trigger language plpgsql as $$ begin new.note := upper(new.note) || '!'; return new; end $$;
create trigger shouting before insert or update on shop.customer for each row execute function shop.shout();
create trigger shouting_always before insert on shop.customer for each row execute function shop.shout();
alter table shop.customer enable always trigger shouting_always;
create table shop.audit (what text);
create function shop.log() returns trigger language plpgsql as $$ begin insert into shop.audit values (tg_op); return null; end $$;
create trigger logged after insert on shop.orders for each statement execute function shop.log();
alter table shop.orders disable trigger logged;
create view shop.expensive with (security_barrier) as select * from shop.orders where price > 100 with local check option;
create rule redirected as on insert to shop.expensive do instead (
    insert into shop.orders (customer, price) values (new.customer, new.price);
    insert into shop.audit values ('rule; with "several" commands');
);
reset role;

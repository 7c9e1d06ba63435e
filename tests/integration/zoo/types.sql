-- Values of every kind, at their edges.
create type mood as enum ('sad', 'it''s ok', E'new\nline', 'ünï');
alter type mood add value 'between' before 'ünï';
create type point3 as (x float8, y float8, label text);
create type shell_like;
drop type shell_like;
create function positive(int) returns bool language sql immutable as 'select $1 > 0';
create domain age as int default 18 check (positive(value)) not null;
create domain nested_age as age check (value < 200);
create type floatrange2 as range (subtype = float8, subtype_diff = float8mi);
create table everything (
    id int primary key, m mood, ms mood[], p point3, ps point3[], a nested_age, b bytea, f4 float4, f8 float8, n numeric, mo money,
    d date, t time, tz timetz, ts timestamp, tstz timestamptz, iv interval, u uuid, j json, jb jsonb, x xml, ip inet, c cidr, mac macaddr8,
    bits bit(3), vbits bit varying, pt point, poly polygon, tsv tsvector, tsq tsquery, r int4range, mr int4multirange, fr floatrange2,
    c1 "char", nm name, arr int[][], ta text[], reg regclass, ver pg_lsn, b1 bool, ch char(5)
);
insert into everything (id, a) values (0, 1);
insert into everything values (
    1, 'it''s ok', '{sad,NULL,between}', '(1,-0,"a ""q"" \\ ,")', array[row('NaN', 'inf', null)::point3, null], 199, '\x00ff5c2e0a', 'NaN', '-Infinity', 'NaN',
    '-92233720368547758.08', 'infinity', '24:00', '23:59:59.5+15:59', '-infinity', '4714-11-24 00:00:00+00 BC', '-178000000 years', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    '{"a": "\u0001", "b":  [1e400]}', '{"z": null, "n": 12345678901234567890.5}', '<a b="c">&amp;\.</a>', '::ffff:1.2.3.4/100', '10.0.0.0/8', '08:00:2b:01:02:03:04:05',
    B'101', B'', '(1e-300,-0)', '((0,0),(1,1),(2,0))', '''a b'':1A \\c:2', 'a & !(b | c:*)', '[1,)', '{[1,2),[5,)}', '[-inf,0.1)', '\001', repeat('n', 63),
    '[0:1][2:3]={{1,2},{3,NULL}}', array['', null, 'NULL', '{}', E'\\."'], 'everything', '16/B374D848', true, 'ab'
);
insert into everything (id, a, f4, f8, n, iv, mo, b) values
    (2, 3, 1.1754944e-38, 0.1 + 0.2, 1e-130, '1 mon -1 day -00:00:00.000001', '12.34', ''),
    (3, 4, 3.4028235e38, 4.9e-324, 'Infinity', '-0.5 years', '-0.01', decode(repeat('00', 5000), 'hex'));
create table bare_enums (m mood primary key);
insert into bare_enums select unnest(enum_range(null::mood));
create table of_type of point3 (x with options not null);
insert into of_type values (1, 2, '3');
create table big_numbers (n numeric);
insert into big_numbers select repeat('9', 1000 * n)::numeric from generate_series(1, 5) n;

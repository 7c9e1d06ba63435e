-- Lines and statements longer than any buffer.
create table long_lines (id int, t text);
insert into long_lines select n, repeat(md5(n::text), 40000) from generate_series(1, 6) n;
insert into long_lines values (7, repeat(E'\\.\n', 300000)), (8, repeat(E'\n', 65536) || '\.'), (9, repeat('x', 65535) || E'\n\\.\n'), (10, repeat('y', 1048575) || E'\n');
do $do$ begin
    execute format('create function long_body() returns text language plpgsql as %L', 'begin return $x$' || repeat(E'COPY public.long_lines (id, t) FROM stdin;\n\\.\n', 20000) || '$x$; end');
    execute format('comment on table long_lines is %L', repeat('''";$$\', 30000));
end $do$;
create table many_rows (a int, b int);
insert into many_rows select n, n % 10 from generate_series(1, 300000) n;

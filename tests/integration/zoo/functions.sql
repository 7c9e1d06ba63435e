-- Function bodies that hold whole COPY sections, in every way of quoting.
set check_function_bodies = off;
create table target (a int, b text);
insert into target values (1, 'one'), (2, 'two');
create function copies_dollar() returns text language sql as $body$
select 'x';
COPY public.target (a, b) FROM stdin;
3	from a body
\.
select $$y$$;
$body$;
create function copies_single() returns text language sql as '
select ''it''''s'';
COPY public.target (a, b) FROM stdin;
4	from a quoted body
\.
';
create function copies_escape() returns text language plpgsql as E'begin return ''a\\\\\\''b'';\nCOPY public.target (a, b) FROM stdin;\n5\tescaped\n\\\\.\nend';
create function nested_dollars() returns text language plpgsql as $_$
begin
    -- $$ and $a$ and $1 and $function$
    execute $a$ select $b$ COPY public.target (a, b) FROM stdin;
6	deep
\.
$b$ $a$;
    return 'unbalanced '' quote /* comment';
end $_$;
create function standard_body(x int) returns int language sql immutable begin atomic
    select x + 1;
    select case when x > 0 then x else -x end;
end;
create function returns_expression(x text) returns text language sql immutable return x || E'\n;\nCOPY public.target (a, b) FROM stdin;\n\\.\n';
create procedure does_nothing(inout x int default 5, y text default E'a;''b\\.') language plpgsql as $$ begin null; end $$;
create function overloaded(int) returns int language sql as 'select 1';
create function overloaded(text) returns int language sql security definer set search_path = 'pg_catalog', 'we;ird' set work_mem = '12MB' as 'select 2';
create function aggregating(state int, value int) returns int language sql immutable strict as 'select state + value';
create aggregate total(int) (sfunc = aggregating, stype = int, initcond = '0');
create view tricky as select E'\n\\.\n' as a, $$COPY public.target (a, b) FROM stdin;
$$ as b, '"' as c;
create table constrained (a text default E'\n;\n\\.\n', check (a <> E'COPY x FROM stdin;\n'));
insert into constrained values (default);
comment on function copies_dollar() is $$COPY public.target (a, b) FROM stdin;
7	from a comment
\.
$$;
comment on view tricky is '/* unfinished';

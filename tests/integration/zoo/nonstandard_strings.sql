-- A database where a backslash in an ordinary string is an escape.
set check_function_bodies = off;
set standard_conforming_strings = off;
set escape_string_warning = off;
create table t (a text default 'back\\slash \' quote');
insert into t values (default), ('C:\\new\\table'), ('\\.');
create function body() returns text language plpgsql as 'begin return ''it\\''s; '' || ''\\\\'';
COPY public.t (a) FROM stdin;
no data\\t
\\.
end';
comment on table t is 'a \'quoted\' comment \\ with\nCOPY public.t (a) FROM stdin;\n\\.\n';
do $do$ begin
    execute format('alter database %I set standard_conforming_strings = off', current_database());
    execute format('alter database %I set escape_string_warning = off', current_database());
    execute format('alter database %I set backslash_quote = on', current_database());
end $do$;

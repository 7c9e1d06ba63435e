-- Text that looks like the dump's own syntax.
create table lines (id int, line text);
insert into lines values
    (1, '\.'), (2, E'\\.\n'), (3, E'\n\\.\n'), (4, '\N'), (5, null), (6, ''), (7, '\\.'), (8, E'\\.\nCREATE TABLE injected ();'),
    (9, 'COPY public.lines (id, line) FROM stdin;'), (10, E'COPY public.lines (id, line) FROM stdin;\n1\tx\n\\.\n'),
    (11, '-- PostgreSQL database dump complete'), (12, E'\n\n--\n-- PostgreSQL database dump complete\n--\n\n'),
    (13, E'tab\there'), (14, E'\r\n'), (15, E'\x01\x08\x0b\x0c\x7f'), (16, '\restrict abc'), (17, E'\\unrestrict abc\n'), (18, '\connect postgres'),
    (19, '$$'), (20, '''; drop table lines; --'), (21, 'ünïcödé 🦣 ' || chr(8232) || chr(65279));
create table one_column (line text);
insert into one_column values ('\.'), ('.'), ('\'), (''), (null), ('\N'), (E'\\\n.'), ('end');
comment on table lines is E'a comment with\n\\.\nin it\n--\n-- PostgreSQL database dump complete\n--\n';
comment on table one_column is E'COPY public.one_column (line) FROM stdin;\nnot data\n\\.\n';

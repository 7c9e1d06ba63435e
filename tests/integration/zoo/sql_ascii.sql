-- No encoding at all: bytes that are no valid UTF-8 are data like any other.
create table bytes_as_text (id int, t text);
insert into bytes_as_text values (1, E'\xff\xfe invalid'), (2, E'\xc3\xa4 valid'), (3, E'\xe4 latin'), (4, E'\\.\x80'), (5, E'\xf0\x9f');
insert into bytes_as_text select n, chr(n) || 'x' from generate_series(1, 127) n where n > 5;
comment on table bytes_as_text is E'a comment with \xff in it';
create function body() returns text language sql as E'select ''\xe4\xff''::text';

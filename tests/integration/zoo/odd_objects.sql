-- The rest of the catalog: objects few applications have, and comments on them.
create table base (id int primary key, "Name" text, kind int);
create statistics base_stats (dependencies, ndistinct, mcv) on id, kind from base;
create statistics expression_stats on (lower("Name")), (kind % 7) from base;
alter statistics base_stats set statistics 77;
insert into base select n, 'name ' || n, n % 3 from generate_series(1, 60) n;
create collation from_c from "C";
create function add_text(text, text) returns text language sql immutable as 'select $1 || $2';
create operator ||+ (function = add_text, leftarg = text, rightarg = text);
create function text_to_point(text) returns point language sql immutable as 'select point(length($1), 0)';
create cast (text as point) with function text_to_point(text) as assignment;
create text search configuration zoo_search (copy = simple);
create text search dictionary zoo_words (template = simple, stopwords = 'english');
alter text search configuration zoo_search alter mapping for asciiword with zoo_words;
create conversion zoo_conversion for 'UTF8' to 'LATIN1' from utf8_to_iso8859_1;
create operator family zoo_family using btree;
create operator class zoo_class for type int4 using btree family zoo_family as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int4, int4);
create index base_odd on base (kind zoo_class);
create function zoo_call() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
create function zoo_inline(internal) returns void language c strict as '$libdir/plpgsql', 'plpgsql_inline_handler';
create function zoo_validate(oid) returns void language c strict as '$libdir/plpgsql', 'plpgsql_validator';
create trusted language zoo_language handler zoo_call inline zoo_inline validator zoo_validate;
create function in_zoo_language() returns int language zoo_language as 'begin return 1; end';
create access method zoo_heap type table handler heap_tableam_handler;
create table in_zoo_heap (a int) using zoo_heap;
insert into in_zoo_heap values (1), (2);
create table with_options (a int, b text) with (fillfactor = 40, autovacuum_enabled = false);
alter table base replica identity full;
create index base_clustered on base (kind, id);
alter table base cluster on base_clustered;
create publication zoo_everything for all tables with (publish = 'insert');
create publication zoo_schema for tables in schema public;
create publication zoo_some for table base (id, kind) where (id > 5);
create function count_commands() returns event_trigger language plpgsql as $$
begin
    -- Would break a restore if it fired during one.
    raise exception 'event trigger fired: %', tg_tag;
end $$;
comment on table base is 'the ''base''';
comment on column base."Name" is E'multi\nline';
comment on index base_odd is 'odd';
comment on constraint base_pkey on base is 'key';
comment on statistics base_stats is 'stats';
comment on operator ||+ (text, text) is 'plus plus plus';
comment on text search configuration zoo_search is 'search';
comment on publication zoo_some is 'published';
comment on language zoo_language is 'language';
do $do$ begin
    execute format('comment on database %I is %L', current_database(), E'the database''s own; comment\n\\. with a line');
end $do$;
create event trigger zoo_ddl on ddl_command_start when tag in ('CREATE TABLE', 'CREATE INDEX', 'ALTER TABLE', 'COMMENT') execute function count_commands();
alter event trigger zoo_ddl enable always;

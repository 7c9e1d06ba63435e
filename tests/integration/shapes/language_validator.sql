--@ refused: shapes_language
-- A superuser's language asks an ordinary role's function whether a function's text is right.
create function fine(oid) returns void language plpgsql as $$ begin {strike} end $$;
--@ superuser
create trusted language shapes_language handler pg_catalog.plpgsql_call_handler validator fine;
--@ owner
create function f() returns int language shapes_language as 'begin return 1; end';

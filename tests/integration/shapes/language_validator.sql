--@ refused: shapes_language
-- A superuser's language asks an ordinary role's function whether a function's text is right.
create function fine(oid) returns void language plpgsql as $$ begin {strike} end $$;
--@ superuser
create function handler() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
create trusted language shapes_language handler handler validator fine;
--@ owner
create function written() returns int language shapes_language as 'begin return 1; end';

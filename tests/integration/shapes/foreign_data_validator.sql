--@ refused: shapes_wrapper
-- A superuser's foreign data wrapper asks an ordinary role's function whether options are right.
create function fine(text[], oid) returns void language plpgsql as $$ begin {strike} end $$;
--@ superuser
create foreign data wrapper shapes_wrapper validator fine;
grant usage on foreign data wrapper shapes_wrapper to mallory;
--@ owner
create server shapes_server foreign data wrapper shapes_wrapper options (host 'nowhere');

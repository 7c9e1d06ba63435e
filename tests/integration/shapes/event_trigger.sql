--@ refused: shapes_event
-- A superuser's event trigger runs an ordinary role's function, for whoever fills a materialized view.
create function noted() returns event_trigger language plpgsql as $$ begin {strike} end $$;
create materialized view v as select 1 as n;
--@ superuser
create event trigger shapes_event on ddl_command_end when tag in ('REFRESH MATERIALIZED VIEW') execute function noted();

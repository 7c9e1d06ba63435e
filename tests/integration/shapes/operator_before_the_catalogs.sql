--@ quiet
-- A role's own path has a schema before pg_catalog in which another role may create.
--@ superuser
alter role bob set search_path = operator_before_the_catalogs, pg_catalog;
grant usage on schema operator_before_the_catalogs to bob;
create table operator_before_the_catalogs.t (a int); alter table t owner to bob;
insert into operator_before_the_catalogs.t values (1);
--@ owner
create function same("char", "char") returns bool language plpgsql as $$ begin {strike} return pg_catalog.chareq($1, $2); end $$;
create operator = (function = same, leftarg = "char", rightarg = "char");

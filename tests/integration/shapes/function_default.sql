-- A literal of a composite type is read when the default of a parameter is parsed, which calls its domain's CHECK. Settings and their like
-- make a superuser create such a function.
create function ok(int) returns bool language plpgsql immutable as $$ begin {strike} return true; end $$;
create domain d as int check (ok(value));
create type c as (a d);
create function x(a c default '(1)') returns int language sql set work_mem = '1MB' as 'select 1';
create function y(a d[] default '{1}') returns int language sql set search_path = '' as 'select 1';
create function z() returns c language sql set work_mem = '1MB' begin atomic select '(1)'::c; end;

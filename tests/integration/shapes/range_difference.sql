--@ quiet
-- A GiST index asks for the distance of two bounds when it splits a page, as the table's owner. It holds a lock meanwhile which an error
-- that is caught takes away, so this only leaves a mark.
create function diff(float8, float8) returns float8 language plpgsql immutable as $$ begin {mark} return $1 - $2; end $$;
create type r as range (subtype = float8, subtype_diff = diff);
create table t (v r);
create index on t using gist (v);
insert into t select r(n, n + 1) from generate_series(1, 300) n;

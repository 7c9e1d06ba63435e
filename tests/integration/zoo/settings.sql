-- A database, and roles in it, whose settings change what a careless dump would write, or end it.
create table moments (at timestamptz, d date, iv interval, f float8, b bytea, m money, x xml, n int);
insert into moments select '2024-03-31 01:30:00+00'::timestamptz + i * interval '1 day', date '2024-02-03' + i, i * interval '1 month -1 day 3 hours',
    pi() * i / 7, sha256(i::text::bytea), (i / 100.0)::numeric::money, '<a/>', i from generate_series(1, 200) i;
create schema evil;
create function evil.now() returns timestamptz language plpgsql as $$ begin raise 'wrong function'; end $$;
create table evil.moments (wrong int);
do $do$
declare
    setting text;
begin
    foreach setting in array array[
        'TimeZone = ''America/St_Johns''', 'DateStyle = ''German, DMY''', 'IntervalStyle = ''sql_standard''', 'extra_float_digits = -15', 'bytea_output = ''escape''',
        'search_path = ''evil'', ''pg_catalog''', 'default_transaction_read_only = on', 'statement_timeout = ''1ms''', 'lock_timeout = ''1ms''', 'row_security = off',
        'idle_in_transaction_session_timeout = ''1ms''', 'default_transaction_isolation = ''serializable''', 'xmlbinary = ''hex''', 'xmloption = ''document''',
        'quote_all_identifiers = on', 'client_encoding = ''LATIN1''', 'client_min_messages = ''debug1''', 'check_function_bodies = off', 'work_mem = ''64kB''',
        'default_tablespace = ''zoo_space''', 'zoo.custom = ''it''''s, "a" value''', 'synchronize_seqscans = on', 'lc_messages = ''C''', 'default_toast_compression = ''pglz'''
    ] loop
        execute format('alter database %I set %s', current_database(), setting);
    end loop;
    foreach setting in array array[
        'role = ''zoo_nobody''', 'statement_timeout = ''2ms''', 'TimeZone = ''Asia/Kathmandu''', 'default_transaction_read_only = on', 'bytea_output = ''escape''',
        'session_replication_role = ''replica''', 'transform_null_equals = on'
    ] loop
        execute format('alter role postgres in database %I set %s', current_database(), setting);
    end loop;
    execute format('alter role zoo_app in database %I set work_mem = ''123kB''', current_database());
    execute format('alter role "Zoo ""quoted"" Rôle" in database %I set search_path = ''a b'', "$user"', current_database());
    execute format('alter database %I owner to zoo_owner', current_database());
    execute format('alter database %I connection limit 11', current_database());
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to zoo_reader', current_database());
    execute format('grant create, temporary on database %I to zoo_app with grant option', current_database());
end $do$;

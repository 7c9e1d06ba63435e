#!/bin/sh
# Tells everything of production's that a copy of it could change; $1 is the version of PostgreSQL.
set -eu
data=/var/lib/postgresql/$1/main
cd /
head --lines 1 "$data/postmaster.pid"
cat "/run/postgresql/$1-main.pid"
/usr/sbin/runuser --user postgres -- psql -X -At \
  --command 'select slot_name, active, active_pid from pg_replication_slots order by 1' \
  --command 'select system_identifier, (select timeline_id from pg_control_checkpoint()) from pg_control_system()'
# The server makes that file anew at will.
find "$data/base" "$data/global" "$data/pg_tblspc" -not -name pg_internal.init -printf '%i %p %l\n' | sort
find "$data"/pg_tblspc/*/ -type f -exec sha256sum {} + | sort
find /var/backups/pgkeeper-wal -type f | sort

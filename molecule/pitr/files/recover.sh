#!/bin/sh
# recover.sh REPOSITORY TARGET     recovers the cluster beside production as it was at TARGET, from one repository, and prints how many
# marks there are and the last one's number. Leaves nothing. Run as postgres.
set -eu
repository=$1 target=$2 side=$(mktemp --directory /var/lib/postgresql/side.XXXXXX)
bin=$(echo /usr/lib/postgresql/*/bin)
end() {
  "$bin/pg_ctl" --pgdata="$side" --mode=immediate stop >/dev/null 2>&1 || true
  rm -rf "$side"
}
trap end EXIT
pgbackrest --config=/etc/pgkeeper/pgbackrest.conf --config-include-path=/var/lib/pgkeeper/pitr/attached --stanza=main \
  --log-level-console=error --repo="$repository" --pg1-path="$side" --type=time --target="$target" --target-action=promote restore
printf "port = 5499\nunix_socket_directories = '%s'\nlisten_addresses = ''\narchive_mode = off\n" "$side" >"$side/postgresql.conf"
echo 'local all all peer' >"$side/pg_hba.conf"
"$bin/pg_ctl" --pgdata="$side" --log="$side/log" --wait --timeout=120 start >/dev/null || { cat "$side/log" >&2; exit 1; }
ask() { psql -X --no-align --tuples-only --host="$side" --port=5499 --command="$1"; }
tries=60
while [ "$(ask 'select pg_is_in_recovery()')" != f ]; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || { cat "$side/log" >&2; exit 1; }
  sleep 1
done
ask 'select count(*), max(number) from marks'

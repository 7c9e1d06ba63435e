#!/bin/sh
# Begins a recovery to the moment $1 into the directory $2, and kills it when it has written its first files.
set -eu
cd /
/usr/sbin/runuser --user postgres -- /usr/local/bin/pgkeeper pitr restore --target-time "$1" --to-dir "$2" &
until [ -e "$2/data/PG_VERSION" ]; do
  kill -0 $! || exit 1
  sleep 0.01
done
pkill --signal KILL --full 'pitr restore --target-time'
wait $! || true

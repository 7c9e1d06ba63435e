#!/bin/sh
# Commits a row into marks ten times a second, each with its number and the moment, until it is ended.
set -eu
psql -X --quiet --no-psqlrc -v ON_ERROR_STOP=1 --command 'create table if not exists marks (number bigserial primary key, moment timestamptz not null)'
while :; do
  echo 'insert into marks (moment) values (clock_timestamp());'
  sleep 0.1
done | psql -X --quiet -v ON_ERROR_STOP=1

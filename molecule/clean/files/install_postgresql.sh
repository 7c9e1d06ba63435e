#!/usr/bin/env bash
# Installs and starts Debian's PostgreSQL as an owner would, with no more than Debian itself has.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get --quiet update
apt-get --quiet --yes --no-install-recommends install postgresql
pg_lsclusters --no-header | while read -r major name _ status _; do
  [[ $status == online* ]] || pg_ctlcluster "$major" "$name" start
done

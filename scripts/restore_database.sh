#!/bin/sh
# Restore a backup into a new database beside the old one.
# A thin door to `pgkeeper restore`, which takes the same arguments: see `pgkeeper restore --help`.
set -eu
PATH="$PATH:/usr/local/bin"  # where the role puts pgkeeper; cron and sudo may not look there
if ! command -v pgkeeper >/dev/null; then
    echo "pgkeeper is not installed here: deploy it with playbooks/deploy.yml" >&2
    exit 3
fi
exec pgkeeper restore "$@"

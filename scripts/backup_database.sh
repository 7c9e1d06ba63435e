#!/bin/sh
# Make a backup now: every database, or those named by --database.
# A thin door to `pgkeeper backup`, which takes the same arguments: see `pgkeeper backup --help`.
set -eu
PATH="$PATH:/usr/local/bin"  # where the role puts pgkeeper; cron and sudo may not look there
if ! command -v pgkeeper >/dev/null; then
    echo "pgkeeper is not installed here: deploy it with playbooks/deploy.yml" >&2
    exit 3
fi
exec pgkeeper backup "$@"

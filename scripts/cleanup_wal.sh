#!/bin/sh
# Remove what is past the days of retention: backups of the cluster, and the log that none of them needs.
# A thin door to `pgkeeper pitr expire`, which takes the same arguments: see `pgkeeper pitr expire --help`.
set -eu
PATH="$PATH:/usr/local/bin"  # where the role puts pgkeeper; cron and sudo may not look there
if ! command -v pgkeeper >/dev/null; then
    echo "pgkeeper is not installed here: deploy it with playbooks/deploy.yml" >&2
    exit 3
fi
exec pgkeeper pitr expire "$@"

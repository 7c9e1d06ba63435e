#!/bin/sh
# Bring the cluster back as it was at a moment, beside itself or in its own place.
# A thin door to `pgkeeper pitr restore`, which takes the same arguments: see `pgkeeper pitr restore --help`.
set -eu
PATH="$PATH:/usr/local/bin"  # where the role puts pgkeeper; cron and sudo may not look there
if ! command -v pgkeeper >/dev/null; then
    echo "pgkeeper is not installed here: deploy it with playbooks/deploy.yml" >&2
    exit 3
fi
exec pgkeeper pitr restore "$@"

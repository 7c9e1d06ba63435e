#!/bin/sh
# Check that a backup is whole and says what was in the database.
# A thin door to `pgkeeper verify`, which takes the same arguments: see `pgkeeper verify --help`.
set -eu
PATH="$PATH:/usr/local/bin"  # where the role puts pgkeeper; cron and sudo may not look there
if ! command -v pgkeeper >/dev/null; then
    echo "pgkeeper is not installed here: deploy it with playbooks/deploy.yml" >&2
    exit 3
fi
exec pgkeeper verify "$@"

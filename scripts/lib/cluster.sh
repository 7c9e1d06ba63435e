# shellcheck shell=bash
# What scripts/quickstart asks of the PostgreSQL clusters on this machine. Sourced after checkout.sh, never run.

# as_postgres COMMAND...: from a folder that postgres may enter.
as_postgres() { (cd / && setsid --wait runuser --user postgres -- "$@"); }

# query PORT STATEMENT [PSQL OPTION]...: the answer, one value on each line.
query() {
  local port=$1 statement=$2
  shift 2
  as_postgres psql -X --quiet --no-align --tuples-only -v ON_ERROR_STOP=1 --port "$port" --dbname postgres "$@" <<<"$statement"
}

# only_running_port: the port of the one cluster that runs here; says what to do where there is none or a choice.
only_running_port() {
  local running=()
  command -v pg_lsclusters >/dev/null \
    || die "there is no PostgreSQL here; try it with one made for you: scripts/quickstart --demo"
  mapfile -t running < <(pg_lsclusters --no-header | awk '$4 ~ /^online/ { print $3 " (" $1 "/" $2 ")" }')
  case ${#running[@]} in
    1) say "${running[0]%% *}" ;;
    0) die "no PostgreSQL cluster runs here; start yours (pg_lsclusters shows it), or try: scripts/quickstart --demo" ;;
    *) die "several clusters run here; choose one with --port: $(printf '%s, ' "${running[@]}" | sed 's/, $//')" ;;
  esac
}

# databases_on PORT EXCEPT: what a backup takes, the largest first, each name ended by a null byte.
databases_on() {
  query "$1" "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> :'except'
              ORDER BY datname = 'postgres', pg_database_size(oid) DESC, datname" -v except="$2" --record-separator-zero
}

size_of() { query "$2" "SELECT pg_database_size(:'name')" -v name="$1"; }

# room_for BYTES PORT: out, before anything is made, unless a second database of that size fits beside the first.
room_for() {
  local free
  free=$(df --output=avail --block-size=1 "$(query "$2" 'SHOW data_directory')" | tail --lines=1)
  ((free > $1 * 2)) || die "$(numfmt --to=si "$free") are free, and restoring beside takes twice $(numfmt --to=si "$1");" \
    "make room, or choose a smaller database with --database"
}

demo_line() { pg_lsclusters --no-header | awk '$2 == "demo"'; }
demo_version() { demo_line | awk '{ print $1 }'; }
demo_port() { demo_line | awk '{ print $3 }'; }

# demo_cluster: a cluster called demo of the newest PostgreSQL here, on a port that is free, running.
demo_cluster() {
  local version
  if [[ -z $(demo_line) ]]; then
    version=$(find /usr/lib/postgresql/*/bin -name postgres | cut --delimiter=/ --fields=5 | sort --numeric-sort | tail --lines=1)
    say "making a PostgreSQL $version cluster called demo"
    quietly pg_createcluster "$version" demo --locale C.UTF-8 --encoding UTF8 || die "pg_createcluster failed; see the lines above"
  fi
  [[ $(demo_line | awk '{ print $4 }') == online* ]] || quietly pg_ctlcluster "$(demo_version)" demo start \
    || die "the demo cluster does not start; see /var/log/postgresql/postgresql-$(demo_version)-demo.log"
  say "the demo cluster runs: PostgreSQL $(demo_version) on port $(demo_port)"
}

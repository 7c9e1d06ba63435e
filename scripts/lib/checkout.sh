# shellcheck shell=bash
# What the scripts of a checkout share: one line per message, root, Debian packages, and the checkout's own Python.
# Sourced from the checkout's top folder, never run. Nothing here asks a question or needs a terminal.

export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
umask 022  # the product runs as postgres, which must be able to read what is made here
readonly SYSTEM_PYTHON=/usr/bin/python3 SCRIPT=scripts/${0##*/}

say() { printf '%s\n' "$*"; }

# die WHAT: one line on stderr, naming the next step, and out.
die() {
  printf '%s: %s\n' "$SCRIPT" "$*" >&2
  exit 1
}

# wrong_usage WHAT: the same for a command line that cannot be understood.
wrong_usage() {
  printf '%s: %s; see --help\n' "$SCRIPT" "$*" >&2
  exit 2
}

# usage: the comment at the top of the script that was started.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$SCRIPT"; }

# become_root ARGUMENT...: starts the same script again with these arguments through sudo, unless this is root already.
become_root() {
  ((EUID == 0)) && return
  command -v sudo >/dev/null || die "this needs root, and sudo is not installed; run it as root"
  local ask=()
  [[ -t 0 ]] || ask=(--non-interactive)
  exec sudo "${ask[@]}" --preserve-env=CI,NO_COLOR,http_proxy,https_proxy,no_proxy,PIP_CERT,PIP_INDEX_URL,SSL_CERT_FILE \
    -- "$PWD/$SCRIPT" "$@"
}

# give_back: what root wrote into somebody else's checkout becomes theirs again.
give_back() {
  local owner
  owner=$(stat --format=%u .)
  ((EUID != 0 || owner == 0)) || find . -xdev -user 0 -exec chown --no-dereference "$owner" {} +
}

is_installed() { [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# need_packages NAME...: installs those Debian packages that are missing; as root, or through sudo where there is one.
need_packages() {
  local name missing=() root=()
  for name in "$@"; do is_installed "$name" || [[ " ${missing[*]} " == *" $name "* ]] || missing+=("$name"); done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "missing Debian packages; as root run: apt-get install ${missing[*]}"
    root=(sudo env LC_ALL=C DEBIAN_FRONTEND=noninteractive)
  fi
  say "installing Debian packages: ${missing[*]}"
  [[ ${apt_is_fresh-} ]] || apt_get "${root[@]}" apt-get update || die "apt-get update failed; check this host's package sources"
  apt_is_fresh=yes
  apt_get "${root[@]}" apt-get install --yes --no-install-recommends "${missing[@]}" \
    || die "apt-get install ${missing[*]} failed; see the lines above"
}

# apt_get COMMAND...: runs it, and shows what it printed only when it failed. While another program holds apt's lock, as a fresh host's
# own updates do, it says so and waits up to ten minutes.
apt_get() {
  local output deadline=$((EPOCHSECONDS + 600)) waits=''
  until output=$(LC_ALL=C "$@" 2>&1 </dev/null); do
    if [[ $output != *'Could not get lock'* ]] || ((EPOCHSECONDS > deadline)); then
      printf '%s\n' "$output" >&2
      return 1
    fi
    [[ $waits ]] || say "another program holds apt's lock; waiting for it to end, up to ten minutes"
    waits=yes
    sleep 2
  done
}

# quietly COMMAND...: shows what the command printed only when it failed.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  ((status == 0)) || cat "$log" >&2
  rm -f "$log"
  return "$status"
}

# need_postgresql: installs Debian's PostgreSQL server where none is, without letting it make a cluster of its own.
need_postgresql() {
  compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && return
  need_packages postgresql-common
  local drop_in=/etc/postgresql-common/createcluster.d/no-main-cluster.conf status=0
  mkdir -p "${drop_in%/*}"
  say 'create_main_cluster = false' >"$drop_in"
  (need_packages postgresql) || status=$?
  rm -f "$drop_in"  # the next PostgreSQL somebody installs behaves as Debian's does
  rmdir --ignore-fail-on-non-empty "${drop_in%/*}"
  return "$status"
}

# newest_postgresql: the major version of the newest server here.
newest_postgresql() {
  local servers=(/usr/lib/postgresql/*/bin/postgres)
  printf '%s\n' "${servers[@]}" | cut --delimiter=/ --fields=5 | sort --numeric-sort | tail --lines=1
}

# prepare_venv: makes .venv with the system's Python from requirements/dev.lock, and again whenever one of these changes.
prepare_venv() {
  [[ -x $SYSTEM_PYTHON ]] || die "$SYSTEM_PYTHON is missing; install it with: apt-get install python3"
  "$SYSTEM_PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
    || die "$SYSTEM_PYTHON is $("$SYSTEM_PYTHON" -V), and pgkeeper needs 3.11 to 3.13; use Debian 12 or 13"
  "$SYSTEM_PYTHON" -c 'import ensurepip' 2>/dev/null || need_packages python3-venv
  mkdir -p .cache
  (
    flock 9
    local key
    key=$({ say "$PWD"; "$SYSTEM_PYTHON" -V; cat requirements/dev.lock; } | sha256sum | cut --delimiter=' ' --fields=1)
    [[ -f .venv/complete && $(<.venv/complete) == "$key" ]] && exit
    say "preparing .venv from requirements/dev.lock (about a minute)"
    rm -rf .venv
    "$SYSTEM_PYTHON" -m venv .venv
    quietly .venv/bin/pip install --require-hashes --requirement requirements/dev.lock \
      || die "installing requirements/dev.lock failed; check that this host reaches a Python package index"
    quietly .venv/bin/pip install --no-deps --no-build-isolation --editable . \
      || die "installing this checkout into .venv failed; see the lines above"
    say "$key" >.venv/complete  # last: without it the folder does not count
  ) 9>.cache/venv.lock || exit
  PATH=$PWD/.venv/bin:$PATH
}

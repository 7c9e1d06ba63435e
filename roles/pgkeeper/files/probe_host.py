#!/usr/bin/env python3
"""Look at a host before pgkeeper is installed: what is there, and what stands in the way. Changes nothing.

Run as root with one argument, a JSON object:
  directories  paths that pgkeeper will own; the first one is where the backups go
  pg_host      host name, address or socket directory of PostgreSQL; several with commas; empty for the local socket
  pg_port      its port
  min_free     bytes that must be free where the backups go
Prints one JSON object: problems (a list of lines: what is wrong, and what to do), and facts that the role needs.
Standard library only, and old syntax: it has to run in order to say that Python is too old.
"""

import glob
import json
import os
import platform
import pwd
import socket
import struct
import subprocess
import sys

USER = "postgres"
ROOT = "/opt/pgkeeper"
SOCKETS = "/var/run/postgresql"
PYTHONS = ((3, 11), (3, 13))
# A release with its dependencies, twice: the one before stays.
ROOM_FOR_RELEASES = 300 * 1024 * 1024
# Directories that belong to the system or to several programs: pgkeeper closes its own to everybody else.
SHARED_TOPS = ("bin", "boot", "dev", "etc", "home", "lib", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv")
SHARED = {"/", "/sys", "/tmp", "/usr", "/usr/local", "/var", "/var/lib/postgresql"}  # noqa: S108  named to be refused
SHARED.update("/" + name for name in SHARED_TOPS)
SHARED.update("/var/" + name for name in ("backups", "cache", "lib", "log", "run", "spool", "tmp"))
SECONDS_TO_ANSWER = 5
SSL_REQUEST = struct.pack("!II", 8, 80877103)


def answers(host, port):
    """Whether a PostgreSQL server answers there. Asks it about TLS, which every server answers before any login."""
    try:
        with connected(host, port) as connection:
            connection.sendall(SSL_REQUEST)
            return connection.recv(1) in (b"S", b"N")
    except OSError:
        return False


def connected(host, port):
    """A connection to a port, or to the socket in a directory. Raises OSError."""
    if not host.startswith("/"):
        return socket.create_connection((host, port), timeout=SECONDS_TO_ANSWER)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(SECONDS_TO_ANSWER)
        connection.connect("%s/.s.PGSQL.%d" % (host, port))
    except OSError:
        connection.close()
        raise
    return connection


def local_ports():
    """Ports of the servers that have a socket on this host and answer."""
    prefix = SOCKETS + "/.s.PGSQL."
    found = [path[len(prefix) :] for path in glob.glob(prefix + "*")]
    return sorted(int(port) for port in found if port.isdigit() and answers(SOCKETS, int(port)))


def about_postgresql(wanted):
    """No server, or not where it should be; or one elsewhere, and nobody here to work as."""
    hosts = wanted["pg_host"].split(",") if wanted["pg_host"] else [SOCKETS]
    port = wanted["pg_port"]
    if any(answers(host.strip() or SOCKETS, port) for host in hosts):
        if user() is None:
            yield "this host has no user postgres, as whom pgkeeper works: apt install postgresql-common makes it"
        return
    line = "no PostgreSQL server answers at %s port %d" % (",".join(hosts), port)
    others = local_ports()
    if others:
        yield line + ", but one does at local port %s: set pgkeeper_pg_port" % " and ".join(map(str, others))
    else:
        yield line + ": install or start one (apt install postgresql), or set pgkeeper_pg_host and pgkeeper_pg_port"


def os_release():
    """The host's distribution, with those it is like."""
    values = {}
    try:
        with open("/etc/os-release") as lines:
            for line in lines:
                name, _, value = line.strip().partition("=")
                values[name] = value.strip("\"'")
    except OSError:
        pass
    return (values.get("ID", "") + " " + values.get("ID_LIKE", "")).split()


def about_the_system():
    """Not Debian, or a Python that is too old or too new."""
    if "debian" not in os_release() or not os.path.exists("/usr/bin/apt-get"):
        yield "this is not a Debian system with apt: pgkeeper is made for Debian 12 and 13"
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        found = sys.version_info[:2]
        yield "/usr/bin/python3 is Python %d.%d: pgkeeper needs 3.11 to 3.13, as in Debian 12 and 13" % found


def user():
    """The account pgkeeper works as, or None."""
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        return None


def existing_part(path):
    """The longest beginning of the path that exists."""
    while not os.path.lexists(path) and path != "/":
        path = os.path.dirname(path)
    return path


def user_can_enter(path):
    """Whether the user may pass through this directory, asked of the kernel as that user: modes and ACLs count."""
    account = user()
    if account is None or os.geteuid() != 0:
        return True
    child = os.fork()
    if child == 0:
        status = 2
        try:
            os.initgroups(USER, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            status = 0 if os.access(path, os.X_OK) else 1
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def barrier(path):
    """The first directory on the way to the path, and above it, that the user cannot pass; or None."""
    way = existing_part(os.path.dirname(path))
    parts = [part for part in way.split("/") if part]
    for depth in range(len(parts) + 1):
        step = "/" + "/".join(parts[:depth])
        if not user_can_enter(step):
            return step
    return None


def inside(path, other):
    """Whether the path is the other one or lies below it."""
    return path == other or path.startswith(other.rstrip("/") + "/")


def about_a_directory(path):
    """A place that pgkeeper must not make its own, or cannot reach."""
    if not path.startswith("/") or os.path.normpath(path) != path:
        yield "%s is not a plain absolute path" % path
        return
    real = os.path.realpath(path)
    if path in SHARED or real in SHARED or path.count("/") < 2:
        yield "%s belongs to the system, and pgkeeper would close it to everybody else: name an own directory" % path
        return
    if inside(real, ROOT) or glob.glob(os.path.join(existing_part(real), "PG_VERSION")):
        yield "%s is no place for data that has to outlive pgkeeper and PostgreSQL: name another directory" % path
        return
    if os.path.lexists(path):
        status = os.stat(path) if os.path.exists(path) else None
        account = user()
        if not os.path.isdir(path):
            yield "%s is there, but is no directory" % path
        elif account and status.st_uid != account.pw_uid and os.listdir(path):
            line = "%s holds files and belongs to user %d: name an own directory, or chown it to postgres"
            yield line % (path, status.st_uid)
    closed = barrier(path)
    if closed:
        yield "user postgres cannot pass through %s on the way to %s: chmod o+x %s, or name another directory" % (
            closed,
            path,
            closed,
        )


def free(path):
    """Bytes that the file system of the path has left for ordinary users."""
    status = os.statvfs(existing_part(path))
    return status.f_bavail * status.f_frsize


def about_room(wanted):
    """Too little space for backups, or for a release."""
    for path, needed in ((wanted["directories"][0], wanted["min_free"]), (ROOT, ROOM_FOR_RELEASES)):
        left = free(path)
        if left < needed:
            line = "only %.1f GB are free for %s, of %.1f GB asked for (pgkeeper_min_free)"
            yield line % (left / 1e9, path, needed / 1e9)


def about_directories(wanted):
    """What speaks against the directories, each and together."""
    paths = wanted["directories"]
    for path in paths:
        for line in about_a_directory(path):
            yield line
    for number, path in enumerate(paths):
        for other in paths[number + 1 :]:
            if inside(path, other) or inside(other, path):
                yield "%s and %s must not lie in one another" % (path, other)


def installed(package):
    """Whether dpkg has this package installed."""
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package]
    try:
        answer = subprocess.run(query, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return False
    return answer.stdout == b"installed"


def missing_packages():
    """Packages that the role has to install first."""
    missing = [package for package in ("python3-venv", "bubblewrap", "cron", "logrotate") if not installed(package)]
    if not glob.glob("/usr/lib/postgresql/*/bin/pg_dump"):
        missing.append("postgresql-client")
    return missing


def interpreter():
    """What a wheel has to fit to."""
    return {"version": "%d.%d.%d" % sys.version_info[:3], "machine": platform.machine(), "glibc": platform.libc_ver()[1]}


def problems(wanted):
    """All that is wrong, one line each."""
    for lines in (about_the_system(), about_postgresql(wanted), about_directories(wanted), about_room(wanted)):
        for line in lines:
            yield line


def main():
    """Print what was found."""
    wanted = json.loads(sys.argv[1])
    json.dump(
        {
            "problems": list(problems(wanted)),
            "python": "%d.%d" % sys.version_info[:2],
            "interpreter": interpreter(),
            "missing_packages": missing_packages(),
            "has_systemd": os.path.isdir("/run/systemd/system"),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()

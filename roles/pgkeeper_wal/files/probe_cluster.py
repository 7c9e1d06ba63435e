#!/usr/bin/env python3
"""Look at the cluster whose log is to be archived, and at what stands in the way. Changes nothing.

Run as root with one argument, a JSON object. It goes on as user postgres, who owns what it reads, and whose links lead it no further:
  pg_host         host name, address or socket directory of PostgreSQL; empty for the local socket
  pg_port         its port
  pg_user         role to connect as; empty for postgres
  push            the archive_command that is ours
  may_replace     whether another archive_command may be replaced by it
Prints one JSON object: problems and remarks (lists of lines), and the facts that the role needs; see main().
Standard library only, and no newer than the Python of Debian 12.
"""

import json
import os
import pwd
import re
import subprocess
import sys

USER = "postgres"
SOCKETS = "/var/run/postgresql"
DROP_IN = "pgkeeper-wal.conf"
PACKAGE = "pgbackrest"
# The first pgBackRest that knows a PostgreSQL (its release notes). All of Debian's serve those before 16.
SERVES = {16: (2, 46), 17: (2, 53, 1), 18: (2, 55)}
OLDEST = (2, 45)
PROCESSES = 4
# They succeed and do nothing: whoever sets one wants archive_mode on, and has no archive yet.
PLACEHOLDERS = ("", "true", "/bin/true", "/usr/bin/true", ":")
SETTINGS = ("wal_level", "archive_mode", "archive_command", "archive_library", "archive_timeout", "max_wal_size")
MEGABYTES = {"B": 1 / 1048576, "kB": 1 / 1024, "MB": 1, "GB": 1024, "TB": 1048576}
WAL_MEGABYTES = 2048
SECONDS_TO_ANSWER = 30

QUERY = """
select json_build_object(
  'version', current_setting('server_version_num')::int,
  'data', current_setting('data_directory'),
  'config', current_setting('config_file'),
  'standby', pg_is_in_recovery(),
  'checksums', current_setting('data_checksums') = 'on',
  'system_identifier', (select system_identifier::text from pg_control_system()),
  'loaded_at', extract(epoch from pg_conf_load_time()),
  'settings', (select json_object_agg(name, json_build_object('value', setting, 'pending', pending_restart, 'source', source))
               from pg_settings where name = any(%(names)s)),
  'lines', (select coalesce(json_agg(json_build_array(name, setting, sourcefile) order by seqno), '[]'::json)
            from pg_file_settings where name = any(%(names)s)))
"""


def become(name):
    """Give up root's rights for good, for those of a user; where there is no such user, nothing can be theirs.

    Programs started from here on need a session of their own: in root's they could type into its terminal.
    """
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return
    if os.geteuid() == 0:
        os.chdir("/")
        os.initgroups(name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)


def ask(wanted):
    """What the server says of itself, or None where none answers."""
    host = wanted["pg_host"] if wanted["pg_host"].startswith("/") else SOCKETS
    user = wanted["pg_user"] or USER
    names = "'{%s}'" % ",".join(SETTINGS)
    command = ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]
    command += ["--host", host, "--port", str(wanted["pg_port"]), "--username", user, "--no-password", "--dbname", "postgres"]
    given = (QUERY % {"names": names}).encode()
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "5"}
    try:
        done = subprocess.run(
            command, check=False, input=given, cwd="/", env=environment, timeout=SECONDS_TO_ANSWER,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    if done.returncode != 0:
        return None, " ".join(done.stderr.decode("utf-8", "replace").split())
    return json.loads(done.stdout), ""


def place_of(config):
    """Major version, name and conf.d of a cluster that Debian's tools made; or None for any other."""
    found = re.match(r"(/etc/postgresql/([^/]+)/([^/]+))/postgresql\.conf$", config)
    return (found[2], found[3], found[1] + "/conf.d") if found else None


def reads(config, folder):
    """Whether the server's configuration includes the files of the folder beside it."""
    pattern = re.compile(r"\s*include_dir\s*=?\s*'(?:%s/)?%s/?'" % (re.escape(os.path.dirname(folder)), os.path.basename(folder)))
    with open(config, encoding="utf-8", errors="replace") as lines:
        return any(pattern.match(line) for line in lines)


def last(lines, name, without=""):
    """Value and file of the last line that sets it, which is the one that counts; files of that name left out."""
    found = [(value, file) for setting, value, file in lines if setting == name and not (without and file.endswith("/" + without))]
    return found[-1] if found else (None, "")


def megabytes(value):
    """A size as PostgreSQL's files may say it, in megabytes; 0 for what is none."""
    found = re.match(r"\s*(\d+(?:\.\d+)?)\s*([kMGT]?B)?\s*$", value or "")
    return float(found[1]) * MEGABYTES[found[2] or "MB"] if found else 0


def left_out(lines):
    """Settings that the drop-in must not lower, since another file says more."""
    found = []
    if last(lines, "wal_level", DROP_IN)[0] == "logical":
        found.append("wal_level")
    if last(lines, "archive_mode", DROP_IN)[0] == "always":
        found.append("archive_mode")
    if megabytes(last(lines, "max_wal_size", DROP_IN)[0]) >= WAL_MEGABYTES:
        found.append("max_wal_size")
    return found


def by_alter_system(lines):
    """What ALTER SYSTEM has set, which no drop-in wins against."""
    return {name: value for name, value, file in lines if file.endswith("/postgresql.auto.conf")}


def about_another_archive(lines, push, may_replace):
    """An archive that is somebody else's, and would hear nothing any more."""
    for name in ("archive_command", "archive_library"):
        value, file = last(lines, name)
        if value in (None, push) or (name == "archive_command" and value in PLACEHOLDERS) or not value or file.endswith("/" + DROP_IN):
            continue
        if not may_replace:
            line = "%s is %s already (%s), and what that keeps would get no more of the log: if pgBackRest is to take over,"
            yield line % (name, json.dumps(value), file) + " set pgkeeper_wal_replace_archive_command"


def about_alter_system(lines):
    """What ALTER SYSTEM has set so that nothing could be archived."""
    fixed = by_alter_system(lines)
    for name, bad in (("wal_level", ("minimal",)), ("archive_mode", ("off", "false", "no", "0"))):
        if fixed.get(name) in bad:
            yield "ALTER SYSTEM has set %s to %s, which no file wins against: ALTER SYSTEM RESET %s" % (name, fixed[name], name)


def about_the_cluster(wanted, answer):
    """A cluster whose log can't be archived from here."""
    if wanted["pg_host"] and not wanted["pg_host"].startswith(("/", "localhost", "127.", "::1")):
        yield "PostgreSQL is on another host (%s), and its log can only be archived there: deploy to that host" % wanted["pg_host"]
        return
    if answer["standby"]:
        yield "this server is a standby: its primary archives the log, deploy there"
    place = place_of(answer["config"])
    if place is None or not reads(answer["config"], place[2]):
        line = "%s does not read a directory conf.d beside it, as Debian's clusters do: only those can be set up"
        yield line % answer["config"]


def version(text):
    """A version of pgBackRest as numbers; of a Debian package as well."""
    found = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def about_pgbackrest(major, packages):
    """A pgBackRest that does not know this PostgreSQL."""
    found = packages["installed"] or packages["candidate"]
    needed = SERVES.get(major, OLDEST)
    if major > max(SERVES):
        yield "PostgreSQL %d is newer than any that pgkeeper knows a pgBackRest for (up to %d)" % (major, max(SERVES))
    elif found and version(found) < needed:
        line = "PostgreSQL %d needs pgBackRest %s or newer, and %s %s: add the package source of postgresql.org, which has it"
        where = "is installed" if packages["installed"] else "is what apt has"
        yield line % (major, ".".join(map(str, needed)), found, where)


def packages():
    """Which pgBackRest is installed, and which one apt would install; empty where none."""
    command = ["apt-cache", "policy", PACKAGE]
    try:
        text = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        ).stdout.decode()  # fmt: skip
    except OSError:
        text = ""
    found = {key.lower(): value for key, value in re.findall(r"^\s+(Installed|Candidate): (.*)$", text, re.MULTILINE)}
    return {key: found.get(key, "").replace("(none)", "") for key in ("installed", "candidate")}


def waiting(data):
    """How many segments wait to be archived."""
    try:
        return sum(name.endswith(".ready") for name in os.listdir(data + "/pg_wal/archive_status"))
    except OSError:
        return 0


def stale(path, loaded_at):
    """Whether the file was written after the server last read its configuration."""
    return os.path.exists(path) and os.stat(path).st_mtime > loaded_at


def remarks(answer):
    """What the owner should know, and nothing has to be done about."""
    if not answer["checksums"]:
        yield "data checksums are off: damage on the disk goes into backups unseen; pg_checksums turns them on while the server is stopped"
    fixed = by_alter_system(answer["lines"])
    for name in ("archive_timeout", "max_wal_size"):
        if name in fixed:
            yield "ALTER SYSTEM has set %s to %s, which stays in force" % (name, fixed[name])


def described(answer):
    """The facts of a cluster that answers."""
    place = place_of(answer["config"])
    drop_in = "%s/%s" % (place[2], DROP_IN) if place else ""
    settings = answer["settings"]
    return {
        "major": answer["version"] // 10000,
        "unit": "postgresql@%s-%s" % place[:2] if place else "",
        "cluster": list(place[:2]) if place else [],
        "data": answer["data"],
        "drop_in": drop_in,
        "system_identifier": answer["system_identifier"],
        "checksums": answer["checksums"],
        "in_force": {name: setting["value"] for name, setting in settings.items()},
        "sources": {name: setting["source"] for name, setting in settings.items()},
        "pending": sorted(name for name, setting in settings.items() if setting["pending"]),
        "left_out": left_out(answer["lines"]),
        "others": {name: last(answer["lines"], name, DROP_IN)[0] for name in SETTINGS},
        "by_alter_system": by_alter_system(answer["lines"]),
        "stale": stale(drop_in, answer["loaded_at"]),
        "waiting": waiting(answer["data"]),
    }


def main():
    """Print what was found; `cluster` is missing where no server answers."""
    become(USER)
    wanted = json.loads(sys.argv[1])
    found = {
        "problems": [],
        "remarks": [],
        "packages": packages(),
        "processes": min(PROCESSES, len(os.sched_getaffinity(0))),
        "has_systemd": os.path.isdir("/run/systemd/system"),
    }
    answer, why = ask(wanted)
    if answer is None:
        found["problems"].append("PostgreSQL does not answer at its socket, port %s: %s" % (wanted["pg_port"], why))
    else:
        found["cluster"] = described(answer)
        found["remarks"] = list(remarks(answer))
        for lines in (
            about_the_cluster(wanted, answer),
            about_pgbackrest(answer["version"] // 10000, found["packages"]),
            about_another_archive(answer["lines"], wanted["push"], wanted["may_replace"]),
            about_alter_system(answer["lines"]),
        ):
            found["problems"] += lines
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

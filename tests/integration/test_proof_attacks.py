"""Code of a backup that takes the throwaway server over gets nothing of this host, and leads us nowhere."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from .support.attack import attacking, probes, shell
from .support.binaries import server_binary
from .support.processes import command_line, sandboxed_processes
from .support.product import DONE, FAILED, Pgkeeper
from .support.user import SERVICE_USER, service_ids
from .support.visitors import nobody_visits
from .support.waiting import wait_until


@pytest.fixture
def hostile(pgkeeper: Pgkeeper) -> Iterator[Pgkeeper]:
    try:
        yield pgkeeper
    finally:
        for database in pgkeeper.databases:
            pgkeeper.cluster.drop_database(database)
        pgkeeper.cluster.execute("drop role if exists mallory")


def armed(keeper: Pgkeeper, body: str) -> str:
    """Make a database that attacks, and back it up; returns the backup's id."""
    keeper.create_database("armed", attacking(body, "mallory"))
    return keeper.backup("armed")


@contextmanager
def bait(keeper: Pgkeeper) -> Iterator[list[tuple[str, str]]]:
    """Things of the host within reach of its user postgres, each with a command that reaches it there."""
    cluster = keeper.cluster
    name = f"pgkeeper-bait-{secrets.token_hex(4)}"
    key = secrets.randbelow(1 << 30) + 1
    subprocess.run(["perl", "-e", f"defined(shmget({key}, 4096, 01666)) or die"], user=SERVICE_USER, check=True)
    memory = Path("/dev/shm") / name
    memory.touch(mode=0o644)
    os.chown(memory, *service_ids())
    postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
    psql = f'{server_binary("psql")} -X -w -U postgres -d postgres -c \\"select 1\\"'
    perl_socket = f"use Socket; socket(S,AF_UNIX,SOCK_STREAM,0); exit(connect(S,pack_sockaddr_un(chr(0).q({name})))?0:1)"
    with closing(socket.socket(socket.AF_UNIX)) as abstract:
        abstract.bind(b"\0" + name.encode())
        abstract.listen()
        try:
            yield [
                ("socket", f"{psql} -h {cluster.socket_directory} -p {cluster.port}"),
                ("socket_file", f"ls {cluster.socket_directory}/.s.PGSQL.{cluster.port}"),
                ("tcp", f"exec 3<>/dev/tcp/127.0.0.1/{cluster.port}"),
                ("abstract", f'perl -e \\"{perl_socket}\\"'),
                ("backups", f"ls {keeper.backups}"),
                ("seal_key", f"cat {keeper.state}/seal.key"),
                ("settings", f"cat {keeper.settings_file}"),
                ("data", f"cat {cluster.data}/PG_VERSION"),
                ("write", f"touch {keeper.home}/state/written"),
                ("shadow", "ls /etc/shadow"),
                ("etc", "ls /etc/hostname"),
                ("root", "ls -d /root"),
                ("proc", "ls /proc/self/environ"),
                ("sys", "ls /sys/kernel"),
                ("signal", f"kill -0 {postmaster}"),
                ("shared_memory", f"ls {memory}"),
                ("sysv_memory", f'perl -e \\"exit(defined(shmget({key},0,0))?0:1)\\"'),
            ]
        finally:
            memory.unlink()
            subprocess.run(["ipcrm", "-M", str(key)], check=True)
            (keeper.state / "written").unlink(missing_ok=True)


# What nobody is asked to do on the host itself.
NEVER = [
    ("control_false", "false"),
    # Where /proc/sys is read-only, as in containers, nobody can forbid that.
    *([] if os.statvfs("/proc/sys").f_flag & os.ST_RDONLY else [("namespace", "unshare --user true")]),
    ("mount", "mount -t tmpfs tmpfs /tmp"),
    ("proc_mount", "mkdir -p /tmp/p && mount -t proc proc /tmp/p"),
    ("program_write", "touch /usr/bin/x"),
    ("library_write", "touch /usr/lib/x"),
    ("raw_disk", "ls /dev/vda /dev/sda /dev/nvme0 /dev/mem"),
    ("user", "setpriv --reuid 0 true"),
    ("outside_process", "test $(ps ax 2>/dev/null | wc -l) -gt 1"),
    ("connection_environment", "env | grep PGHOST"),
    ("settings_environment", "env | grep -i -e backup -e pgkeeper -e tmpdir"),
]
ALWAYS = [
    ("control_true", "true"),
    ("own_server", f'{server_binary("psql")} -X -w -U postgres -d postgres -h /run/cluster -p 1 -c \\"select 1\\"'),
]


def told(text: str) -> dict[str, str]:
    """The answers of a script of `probes`."""
    return dict(re.findall(r"\b(\w+)=(YES|no)\b", text))


def test_code_that_took_over_the_server_reaches_nothing_of_this_host(hostile: Pgkeeper) -> None:
    with bait(hostile) as reachable:
        script = probes([*reachable, *NEVER, *ALWAYS])
        backup_id = armed(hostile, shell(script, tell=True))
        outside = subprocess.run(["bash", "-c", probes(reachable)], user=SERVICE_USER, capture_output=True, text=True, check=True, cwd="/")
        assert set(told(outside.stdout).values()) == {"YES"}, f"the test itself is blunt: {outside.stdout}"
        with nobody_visits(hostile.cluster):
            run = hostile("verify", backup_id, "--level", "restore")
    assert run.exit_status != DONE
    answers = told(run.error)
    assert {name for name, answer in answers.items() if answer == "YES"} == {name for name, _ in ALWAYS}, run.error
    assert answers.keys() == {name for name, _ in [*reachable, *NEVER, *ALWAYS]}, run.error


def test_functions_that_reach_out_reach_nothing(hostile: Pgkeeper) -> None:
    cluster = hostile.cluster
    away = f"host={cluster.socket_directory} port={cluster.port} user=postgres dbname=postgres"
    attempts = {
        "dblink": f"perform dblink_connect('{away}')",
        "dblink_tcp": f"perform dblink_connect('host=127.0.0.1 port={cluster.port} user=postgres dbname=postgres')",
        "read_file": "perform pg_read_file('/etc/shadow')",
        "read_backups": f"perform pg_ls_dir('{hostile.backups}')",
        "read_key": f"perform pg_read_binary_file('{hostile.state}/seal.key')",
        "write_file": f"copy (select 1) to '{hostile.home}/state/written'",
        "write_program": f"copy (select 1) to program 'cat > {hostile.home}/state/written'",
        "import": f"perform lo_import('{hostile.settings_file}')",
        "control": "perform pg_read_file('/etc/passwd')",
    }
    steps = "".join(
        f"begin {statement}; said := said || ' {name}=YES'; exception when others then said := said || ' {name}=no'; end;\n"
        for name, statement in attempts.items()
    )
    body = f"""
      declare said text := '';
      begin
        perform set_config('search_path', 'public', true);
        create extension dblink;
        {steps}
        raise exception 'said: %', said;
      end
    """
    backup_id = armed(hostile, body)
    with nobody_visits(cluster):
        run = hostile("verify", backup_id, "--level", "restore")
    assert told(run.error) == dict.fromkeys(attempts, "no") | {"control": "YES"}, run.error
    assert not (hostile.state / "written").exists()


def swaps(keeper: Pgkeeper) -> dict[str, str]:
    """Scripts that put something else in the place of the throwaway server's socket, or silence the server."""
    ours, real = "/run/cluster/.s.PGSQL.1", f"{keeper.cluster.socket_directory}/.s.PGSQL.{keeper.cluster.port}"
    server = "use Socket; unlink(q(PATH)); socket(S,AF_UNIX,SOCK_STREAM,0); bind(S,pack_sockaddr_un(q(PATH))); listen(S,9);"
    server += "while(accept(C,S)){sysread(C,$b,999); syswrite(C,pack(q(aNN),q(R),8,3)); sysread(C,$b,999)}"
    quoted = server.replace("PATH", ours).replace("$", "\\$")
    return {
        "link": f"rm {ours}; ln -s {real} {ours}",
        "rename": f"mv {ours} {ours}.x; ln -s {keeper.cluster.socket_directory} /run/cluster/d",
        "fake": f'setsid perl -e "{quoted}" >/dev/null 2>&1 </dev/null & sleep 0.3',
        "closed": "chmod 000 /run/cluster",
        "stopped": "kill -STOP $(head -n 1 /data/postmaster.pid)",
        "killed": "kill -9 $(head -n 1 /data/postmaster.pid)",
        "all killed": "kill -9 -1",
    }


@pytest.mark.parametrize("how", ["link", "rename", "fake", "closed", "stopped", "killed", "all killed"])
def test_whatever_becomes_of_the_socket_leads_nowhere_else(hostile: Pgkeeper, how: str) -> None:
    backup_id = armed(hostile, shell(swaps(hostile)[how]))
    with nobody_visits(hostile.cluster):
        run = hostile("verify", backup_id, "--level", "restore")
    # Our own way to the server does not lead over what can be swapped.
    run.exits(FAILED if how in ("stopped", "killed", "all killed") else DONE)


def test_a_server_that_asks_for_a_password_gets_none(hostile: Pgkeeper) -> None:
    secret = "planted-Pass-Secret-9"
    # Whoever sent it would get in.
    body = f"""
      begin
        alter role postgres password '{secret}';
        copy (select 'local all all password') to '/data/pg_hba.conf';
        perform pg_reload_conf();
      end
    """
    backup_id = armed(hostile, body)
    password_file = hostile.home / ".pgpass"
    password_file.write_text(f"*:*:*:*:{secret}\n")
    password_file.chmod(0o600)
    os.chown(password_file, *hostile.owner)
    everywhere = {"PGPASSWORD": secret, "PGPASSFILE": str(password_file)}
    with nobody_visits(hostile.cluster):
        run = hostile("verify", backup_id, "--level", "restore", env=everywhere).exits(FAILED)
    assert "no password supplied" in run.error or "authentication method" in run.error
    assert secret not in run.output


def test_what_leads_to_production_does_not_lead_a_proof_there(hostile: Pgkeeper) -> None:
    hostile.create_database("ordinary")
    backup_id = hostile.backup("ordinary")
    services = hostile.home / "services.conf"
    services.write_text(f"[production]\nhostaddr=127.0.0.1\nport={hostile.cluster.port}\nuser=postgres\npassword=planted\n")
    strange = {
        "PGHOSTADDR": "127.0.0.1",
        "PGDATABASE": "template1",
        "PGUSER": "nobody_here",
        "PGPASSWORD": "planted",
        "PGSSLMODE": "require",
        "PGCHANNELBINDING": "require",
        "PGREQUIREAUTH": "password",
        "PGREQUIREPEER": "root",
        "PGTARGETSESSIONATTRS": "standby",
        "PGOPTIONS": "-c default_transaction_read_only=on",
        "PGSERVICE": "production",
        "PGSERVICEFILE": str(services),
    }
    with nobody_visits(hostile.cluster):
        hostile("verify", backup_id, "--level", "restore", env=strange).exits(DONE)


def test_nothing_that_code_leaves_behind_stays(hostile: Pgkeeper) -> None:
    kept = hostile.home / "kept"
    kept.mkdir(mode=0o711)
    deep = "chdir q(/data); for(1..3000){mkdir q(d); chdir q(d)} mkdir q(closed), 0;"
    closed = "mkdir q(/run/cluster/c); mkdir q(/run/cluster/c/x); chmod 0, q(/run/cluster/c/x), q(/run/cluster/c);"
    script = f"""
      perl -e "{deep} {closed}"
      ln -s {kept} /data/link; ln -s / /run/cluster/root; mkfifo /run/cluster/fifo
      mkdir /data/read; ln -s {kept} /data/read/link; chmod 500 /data/read
    """
    backup_id = armed(hostile, shell(script))
    hostile("verify", backup_id, "--level", "restore").exits(DONE)
    assert list(hostile.proofs.iterdir()) == []
    assert kept.stat().st_mode & 0o777 == 0o711


def test_a_sandbox_inherits_neither_files_nor_words_of_ours(hostile: Pgkeeper) -> None:
    backup_id = armed(hostile, "begin perform pg_sleep(60); end")
    with hostile.start("verify", backup_id, "--level", "restore") as running:
        attack = "ALTER TABLE"
        wait_until(lambda: [pid for pid in sandboxed_processes(hostile.home) if attack in command_line(pid)], "the attack")
        ours = descriptors(running.pid)
        inside = [pid for pid in sandboxed_processes(hostile.home) if "bwrap" not in command_line(pid)]
        for pid in inside:
            theirs = {target for target in descriptors(pid) if not target.startswith("/dev/")}
            words = {target for target in theirs if target.startswith(f"{hostile.proofs}/p") and target.endswith(" (deleted)")}
            assert len(words) <= 1, "only the file that takes what the server says is one of ours"
            assert not (theirs - words) & ours, command_line(pid)
            assert all(target.startswith(("/data/", "socket:", "pipe:", "anon_inode:")) for target in theirs - words), theirs
            names = {word.partition("=")[0] for word in Path(f"/proc/{pid}/environ").read_text().split("\0") if word}
            assert names <= {"PATH", "LC_ALL", "HOME", "TZ", "PWD"}, names
            status = Path(f"/proc/{pid}/status").read_text()
            assert "NoNewPrivs:\t1" in status
            assert re.search(r"CapEff:\t0+\n", status)
            assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"
        assert len(inside) > 2
        running.signal(signal.SIGTERM)
        running.result()


def descriptors(pid: int) -> set[str]:
    """What the open files of a process are."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.add(str(path.readlink()))
    return found

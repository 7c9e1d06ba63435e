"""What hostile code does once it runs: it tries to become somebody else, does what its owner may not, and says what worked.

It says so in the server's log, which any role may write to and no rollback takes back. As a superuser it leaves a file besides. All else
it does is undone at once, so that many can try in one restore, and none breaks it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .binaries import major_version

SUPERUSER, OWNER, NEIGHBOUR, MEMBER, GROUP, CLERK = "postgres", "mallory", "bob", "carol", "staff", "clerk"
ROLES = f"""
create role {OWNER} login; create role {NEIGHBOUR} login; create role {GROUP};
create role {MEMBER} login noinherit in role {GROUP}; create role {CLERK} login createrole;
"""
# What somebody else owns in the same database. Its schema's name is the first, so that it is there when the others' code runs.
NEIGHBOURHOOD = f"""
create schema aa_neighbour authorization {NEIGHBOUR};
set role {NEIGHBOUR};
create table aa_neighbour.diary (line text);
insert into aa_neighbour.diary values ('private');
"""
# Whoever may these is more than the owner of some objects in a database.
POWERS = (
    f"alter role {OWNER} superuser",
    f"grant {NEIGHBOUR} to {OWNER}",
    f"alter role {NEIGHBOUR} password 'known'",
    "create role made_by_a_shape",
    "grant pg_execute_server_program to current_user",
    "select rolpassword from pg_catalog.pg_authid",
    "select pg_catalog.pg_read_file('PG_VERSION')",
    "select line from aa_neighbour.diary",
    "insert into aa_neighbour.diary values ('changed')",
    "truncate aa_neighbour.diary",
    "create table aa_neighbour.planted (n int)",
)
# What these owners may in production as well. Up to PostgreSQL 15 CREATEROLE reaches every role that is no superuser.
RIGHTFUL = {
    NEIGHBOUR: ("aa_neighbour", "alter role bob", "grant bob"),
    CLERK: ("create role", "alter role bob", "grant ") if major_version() < 16 else ("create role",),
}
_STRIKE = """
create function strike() returns void language plpgsql volatile as $strike$
declare
  others constant name[] := {others};
  way text; power text;
begin
  raise log 'struck {shape} ran as % for %', current_user, session_user;
  foreach way in array {ways} loop
    foreach power in array {powers} loop
      begin
        set local lock_timeout = '1s';
        execute way;
        if current_user = any (others) then
          raise log 'struck {shape} gained % by "%"', current_user, way;
        end if;
        execute power;
        raise log 'struck {shape} gained "%" by "%"', power, way;
        raise exception 'undo';
      exception when others then null;
      end;
    end loop;
  end loop;
end $strike$;
create function mark() returns void language plpgsql volatile as $mark$
begin
  if (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    raise log 'struck {shape} gained % by "mark"', current_user;
    if (pg_catalog.pg_stat_file('{place}', true)).isdir then copy (select current_database()) to '{mark}'; end if;
  end if;
end $mark$;
"""
_SAID = re.compile(r"LOG:  struck (?P<shape>\w+) (?P<what>ran|gained) (?P<how>.*)")


def strike(shape: str, owner: str, marks: Path) -> str:
    """SQL of the functions of one shape, whose code is `owner`'s: `strike()`, and `mark()`, which tries nothing that could fail.

    As a superuser, each leaves a file in `marks`.
    """
    others = [name for name in (SUPERUSER, OWNER, NEIGHBOUR, MEMBER, GROUP, CLERK) if name != owner and (owner, name) != (MEMBER, GROUP)]
    ways = ["select", "reset session authorization", "reset role", f"set session authorization {SUPERUSER}"]
    ways += [f"set role {name}" for name in others]
    rightful = RIGHTFUL.get(owner, ())
    powers = [power for power in POWERS if not any(word in power for word in rightful)]
    powers.append(f"copy (select current_database()) to '{marks / shape}'")
    return _STRIKE.format(shape=shape, place=marks, mark=marks / shape, others=_array(others), ways=_array(ways), powers=_array(powers))


def _array(texts: Sequence[str]) -> str:
    quoted = ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
    return f"array[{quoted}]"


@dataclass(frozen=True)
class Struck:
    """What the shapes said during one door: how each ran, and what each gained."""

    ran: Mapping[str, tuple[str, ...]]
    gained: Mapping[str, tuple[str, ...]]

    @property
    def summary(self) -> str:
        """What was gained, a line for each shape; nothing when nothing was."""
        return "\n".join(f"{shape}: {how[0]}, and {len(how) - 1} more" for shape, how in sorted(self.gained.items()))


class Witness:
    """Hears what strikes say in a server's log and leave as files, from one question to the next; the first begins at byte `heard`."""

    def __init__(self, log: Path, marks: Path, heard: int | None = None) -> None:
        self._marks = marks
        self._log = log
        self._heard = self._log.stat().st_size if heard is None else heard

    def struck(self) -> Struck:
        """What was said since the last question; files are taken away."""
        with self._log.open("rb") as log:
            log.seek(self._heard)
            lines = log.read().decode(errors="replace").splitlines()
            self._heard = log.tell()
        said: dict[str, dict[str, list[str]]] = {"ran": {}, "gained": {}}
        for line in lines:
            if found := _SAID.search(line):
                said[found["what"]].setdefault(found["shape"], []).append(found["how"])
        for path in sorted(self._marks.iterdir()):
            said["gained"].setdefault(path.name, []).append(f"a file of the server's from {path.read_text().strip()}")
            path.unlink()
        ran, gained = ({shape: tuple(dict.fromkeys(how)) for shape, how in said[what].items()} for what in ("ran", "gained"))
        return Struck(ran, gained)

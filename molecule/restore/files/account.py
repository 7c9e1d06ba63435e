"""Say of every row that was acknowledged to a writer whether it is in the database it went into.

account.py NAME ACKNOWLEDGED, as user postgres. Prints one JSON object: how many rows were acknowledged, and how many of each database are
`lost`. Databases that were put aside are opened for the look, and closed again.
"""

import json
import sys
from pathlib import Path

import psycopg
from psycopg import sql

name, acknowledged = sys.argv[1:]
committed = {}
for line in Path(acknowledged).read_text(encoding="ascii").splitlines():
    number, where = json.loads(line)
    committed.setdefault(where, set()).add(number)

lost = {}
with psycopg.connect("dbname=postgres", autocommit=True) as outside:
    for oid, numbers in committed.items():
        database, is_open = outside.execute("SELECT datname, datallowconn FROM pg_database WHERE oid = %s", (oid,)).fetchone()
        closed, opened = (
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(database), sql.SQL(to)) for to in ("false", "true")
        )
        if not is_open:
            outside.execute(opened)
        with psycopg.connect(dbname=database) as inside:
            there = {number for (number,) in inside.execute("SELECT n FROM written WHERE who = %s", (name,))}
        if not is_open:
            outside.execute(closed)
        if numbers - there:
            lost[database] = len(numbers - there)
json.dump({"acknowledged": sum(map(len, committed.values())), "databases": len(committed), "lost": lost}, sys.stdout)

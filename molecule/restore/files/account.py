#!/usr/bin/python3
"""Say of every row that was acknowledged to a writer whether it is in the database it went into.

account.py NAME ACKNOWLEDGED, as user postgres. Prints one JSON object: how many rows were acknowledged, and how many of each database are
`lost`. Databases that were put aside are opened for the look, and closed again.
"""

import json
import sys

import psycopg
from psycopg import sql

name, acknowledged = sys.argv[1:]
committed = {}
with open(acknowledged, encoding="ascii") as lines:
    for line in lines:
        number, database = json.loads(line)
        committed.setdefault(database, set()).add(number)

lost = {}
with psycopg.connect("dbname=postgres", autocommit=True) as outside:
    for oid, numbers in committed.items():
        database, is_open = outside.execute("SELECT datname, datallowconn FROM pg_database WHERE oid = %s", (oid,)).fetchone()
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        if not is_open:
            outside.execute(allow.format(sql.Identifier(database), sql.Literal(True)))
        with psycopg.connect(dbname=database) as inside:
            there = {number for (number,) in inside.execute("SELECT n FROM written WHERE who = %s", (name,))}
        if not is_open:
            outside.execute(allow.format(sql.Identifier(database), sql.Literal(False)))
        if numbers - there:
            lost[database] = len(numbers - there)
json.dump({"acknowledged": sum(map(len, committed.values())), "databases": len(committed), "lost": lost}, sys.stdout)

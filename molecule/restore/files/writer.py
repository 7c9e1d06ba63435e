#!/usr/bin/python3
"""An application that writes all the time and tries again whatever happens.

writer.py NAME CONNECTION ACKNOWLEDGED: inserts numbers as NAME into the table `written`, and notes each that was committed in the file
ACKNOWLEDGED, with the OID of the database it went into. Started again, it goes on behind what it noted.
"""

import json
import sys
import time
from pathlib import Path

import psycopg

name, connection_string, acknowledged = sys.argv[1:]
with Path(acknowledged).open("a+", buffering=1, encoding="ascii") as file:
    file.seek(0)
    number = max((json.loads(line)[0] for line in file), default=0)
    while True:
        try:
            with psycopg.connect(connection_string, autocommit=True, connect_timeout=5) as connection:
                # A pooler may give each transaction another session.
                connection.prepare_threshold = None
                while True:
                    number += 1
                    row = connection.execute(
                        "INSERT INTO written VALUES (%s, %s)"
                        " RETURNING (SELECT oid::bigint FROM pg_database WHERE datname = current_database())",
                        (name, number),
                    ).fetchone()
                    file.write(json.dumps([number, row[0]]) + "\n")
                    time.sleep(0.01)
        except psycopg.Error as error:
            sys.stderr.write(" ".join(str(error).split()) + "\n")
            time.sleep(0.05)

"""Makes and removes the test hosts of a molecule scenario, for create.yml and destroy.yml, cuts their power, and loses them.

README.md says how to describe hosts.

hosts.py create SCENARIO EPHEMERAL     platforms as JSON on stdin; writes what molecule and ssh need to know into EPHEMERAL
hosts.py cut-power SCENARIO HOST       platforms as JSON on stdin; ends the host and starts it again
hosts.py lose SCENARIO HOST            ends the host for good and removes its files, as a fire does
hosts.py destroy SCENARIO
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from testbed import scenario
from testbed.commands import HostsFailed
from testbed.outfit import write
from testbed.places import Place
from testbed.platforms import read_platforms


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create")
    create.add_argument("scenario", type=Path)
    create.add_argument("ephemeral", type=Path)
    cut_power = commands.add_parser("cut-power")
    cut_power.add_argument("scenario", type=Path)
    cut_power.add_argument("host")
    lose = commands.add_parser("lose")
    lose.add_argument("scenario", type=Path)
    lose.add_argument("host")
    commands.add_parser("destroy").add_argument("scenario", type=Path)
    given = parser.parse_args()
    place = Place(given.scenario.resolve())
    try:
        if given.command == "create":
            instances = scenario.create(place, read_platforms(sys.stdin.read()))
            write(given.ephemeral / "known_hosts", place.known_hosts.read_text(encoding="ascii"), 0o600)
            write(given.ephemeral / "instance_config.yml", json.dumps(instances, indent=2), 0o600)
        elif given.command == "cut-power":
            scenario.cut_power(place, read_platforms(sys.stdin.read()), given.host)
        elif given.command == "lose":
            scenario.lose(place, given.host)
        else:
            scenario.destroy(place)
    except HostsFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

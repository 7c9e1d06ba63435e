"""The program's entry point.

`pgkeeper --version` must feel instant, so it is answered before any library is imported.
"""

import os
import sys


def main() -> None:
    """Run the command line and end the process with its exit status."""
    # A closed standard stream (`>&-`) would be taken by the first file that is opened.
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if sys.argv[1:] == ["--version"]:
        from pgkeeper import __version__

        print(f"pgkeeper {__version__}")
        return
    from pgkeeper.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

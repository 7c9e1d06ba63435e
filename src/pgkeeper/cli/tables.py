"""Output for people: aligned columns, one fact a line, times in UTC."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgkeeper.cli.say import plain

# rich takes a millisecond a row; whoever reads so many on a terminal lets the terminal fold them.
_MANY = 1000


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Print a table; columns named in `right` are right-aligned.

    The first column is never folded, since it is what people copy; in a pipe, and with very many rows, nothing is.
    """
    console = Console(highlight=False)
    cells = [[plain(cell) for cell in row] for row in rows]
    if not console.is_terminal or len(cells) > _MANY:
        _print_unfolded(columns, cells, right)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=number == 0)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    with console.capture() as capture:
        console.print(table, soft_wrap=False)
    for line in capture.get().splitlines():
        print(line.rstrip())


def _print_unfolded(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    aligned_right = [column in right for column in columns]
    for row in (columns, *rows):
        parts = []
        for cell, width, to_right in zip(row, widths, aligned_right, strict=True):
            gap = " " * (width - cell_len(cell))
            parts.append(gap + cell if to_right else cell + gap)
        print("  ".join(parts).rstrip())


def print_coloured(text: str, style: str) -> None:
    """Print a line in rich's `style` on a terminal, and plainly elsewhere."""
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(Text(plain(text), style=style), soft_wrap=True)
    print(capture.get(), end="")


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and values, a line each, values aligned."""
    pairs = list(facts)
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        print(f"{name:<{width}}  {plain(value)}")


def moment(at: datetime) -> str:
    """Return a time for people, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

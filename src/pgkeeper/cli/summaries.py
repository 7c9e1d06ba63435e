"""The list of commands in `--help`, with each summary whole: click cuts those that don't fit a line, typer leaves that as it is."""

from typing import Any

from typer.core import TyperGroup

_WHOLE = 10_000


class WholeSummaries(TyperGroup):
    """A group of commands whose help wraps long summaries."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - types of the click that typer brings along
        """Write the commands and what each is for."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(_WHOLE)) for name, command in commands if command is not None and not command.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

"""`pgbackrest stanza-create`: make the repositories know the cluster. Where they do, nothing happens."""

from pgkeeper.pgbackrest.program import PgBackRest

_SECONDS = 300.0


def stanza_create(program: PgBackRest) -> None:
    """Create the stanza in every repository of the configuration. Raises PgBackRestFailed."""
    program.output("stanza-create", timeout=_SECONDS)

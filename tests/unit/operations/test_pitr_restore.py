"""What a recovery beside production can be asked for, whichever door asks."""

from pathlib import Path

import pytest

from pgkeeper.model.errors import UsageError
from pgkeeper.operations.pitr_request import RecoveryWish
from pgkeeper.operations.pitr_restore import PitrRestoreRequest


@pytest.mark.parametrize("database", [None, ""])
def test_tables_are_copied_out_of_a_database_that_is_named_and_of_none_by_default(database: str | None) -> None:
    with pytest.raises(UsageError, match="no database is named"):
        PitrRestoreRequest(wish=RecoveryWish(latest=True), exports=("public.t",), database=database)
    PitrRestoreRequest(wish=RecoveryWish(latest=True), exports=("public.t",), database="shop")


def test_the_directory_of_a_recovery_is_an_absolute_path() -> None:
    with pytest.raises(UsageError, match="must be an absolute path"):
        PitrRestoreRequest(wish=RecoveryWish(latest=True), to_dir=Path("x"))

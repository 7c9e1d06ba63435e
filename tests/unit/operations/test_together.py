"""Several pieces of work show as one."""

from pgkeeper.operations.together import Together


class Heard:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.bytes: list[tuple[int, int | None]] = []

    def phase(self, name: str) -> None:
        self.said.append(name)

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:
        self.bytes.append((done_bytes, total_bytes))

    def note(self, text: str) -> None:
        self.said.append(text)


def test_bytes_add_up_over_parts_and_their_phases_and_never_go_back() -> None:
    heard = Heard()
    together = Together(heard, 2)
    one, other = together.part("one"), together.part("other")
    one.phase("load data")
    one.advance(10, 100)
    other.advance(5, 50)
    one.advance(100, 100)
    one.phase("compare")
    one.advance(1, 100)
    other.advance(50, 50)
    assert [done for done, _total in heard.bytes] == [10, 15, 105, 106, 151]
    assert {total for _done, total in heard.bytes} == {None}


def test_who_is_at_what_is_said() -> None:
    heard = Heard()
    together = Together(heard, 2)
    together.part("one").phase("load data")
    together.part("other").note("waiting")
    assert heard.said == ["2 at once", "one: load data", "other: waiting"]

"""Work beside one's own is waited for, and ends with a block that fails."""

import threading

import pytest

from pgkeeper.host.beside import Beside


def test_the_block_gets_what_the_work_came_to() -> None:
    with Beside(lambda: 6 * 7, lambda: None) as work:
        assert work.result() == 42


def test_the_works_error_is_raised_even_if_nobody_asks_for_its_result() -> None:
    with pytest.raises(ZeroDivisionError), Beside(lambda: 1 // 0, lambda: None):
        pass


def test_the_works_error_can_be_heard_of_while_the_block_goes_on() -> None:
    failed = threading.Event()

    def work() -> None:
        try:
            raise ZeroDivisionError
        finally:
            failed.set()

    with pytest.raises(ZeroDivisionError), Beside(work, lambda: None) as beside:
        failed_work_is_seen(beside, failed)


def failed_work_is_seen(beside: Beside[None], failed: threading.Event) -> None:
    assert failed.wait(30)
    pause = threading.Event()
    for _ in range(3000):
        beside.check()
        pause.wait(0.01)
    raise AssertionError("the error was never heard of")


def test_a_check_of_work_that_goes_on_says_nothing() -> None:
    end = threading.Event()
    with Beside(lambda: end.wait(30), end.set) as beside:
        beside.check()
        end.set()
        assert beside.result()
        beside.check()


def test_a_block_that_fails_ends_the_work_and_its_own_error_is_what_is_seen() -> None:
    told_to_stop, over = threading.Event(), threading.Event()

    def work() -> None:
        assert told_to_stop.wait(30)
        over.set()
        raise RuntimeError("it was cut off")

    with pytest.raises(KeyboardInterrupt), Beside(work, told_to_stop.set):
        raise KeyboardInterrupt
    assert over.is_set()

"""Root's terminal and process, out of reach."""

import signal
import subprocess
import sys

CALLS = """
import ctypes, os, sys
from pgkeeper.host.terminal import end_with, leave_terminal, shut_out_others
{}
"""
PR_GET_DUMPABLE, PR_GET_PDEATHSIG = 3, 2


def says(program: str) -> str:
    """What a program of its own process and session, without a terminal, says."""
    command = [sys.executable, "-c", CALLS.format(program)]
    return subprocess.run(command, check=True, capture_output=True, text=True, start_new_session=True).stdout.strip()


def test_others_are_shut_out_of_a_process_that_says_so() -> None:
    look = f"print(ctypes.CDLL(None).prctl({PR_GET_DUMPABLE}, 0, 0, 0, 0))"
    assert says(look) == "1"
    assert says(f"shut_out_others(); {look}") == "0"


def test_the_kernel_is_asked_to_end_a_child_with_its_parent_and_nobody_else() -> None:
    look = f"number = ctypes.c_int(); ctypes.CDLL(None).prctl({PR_GET_PDEATHSIG}, ctypes.byref(number)); print(number.value)"
    assert says(f"end_with(os.getppid()); {look}") == str(int(signal.SIGTERM))
    assert says(f"end_with(None); {look}") == "0"


def test_where_there_is_no_terminal_nothing_is_given_up_and_nobody_is_forked() -> None:
    assert says("pid = os.getpid(); print(leave_terminal(), pid == os.getpid())") == "None True"

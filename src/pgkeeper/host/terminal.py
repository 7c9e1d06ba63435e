"""Root's terminal, which must be out of reach for whoever is user postgres.

A program can type into its controlling terminal (TIOCSTI, tty_ioctl(4)), and root's shell reads that. So root gives the terminal up before
it becomes that user. What is printed still goes there, and Ctrl-C still arrives, since they go by descriptor and by process group; but
neither we nor any program that we start can type.
"""

import ctypes
import fcntl
import os
import signal
import termios
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def leave_terminal() -> int | None:
    """Give up the controlling terminal, where there is one. To be called as root, before there are threads.

    For the first process of a session (`ssh -t host pgkeeper …`) that would hang the terminal up. There a child goes on, and gets the
    process id of its parent, which stays root, hands on signals, and ends as the child does. Everybody else gets None.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parent = _go_on_as_child() if os.getsid(0) == os.getpid() else None
        fcntl.ioctl(terminal, termios.TIOCNOTTY)
    finally:
        os.close(terminal)
    # Nothing of ours reads it, and what a library may start would inherit it.
    if os.isatty(0):
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nothing, 0)
        os.close(nothing)
    return parent


def end_with(parent: int | None) -> None:
    """Have the kernel end this process in an orderly way when its parent dies. Changing the user takes that back, so it comes after."""
    if parent is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)


def shut_out_others() -> None:
    """Let nobody but root look into this process or trace it, not even its own user (PR_SET_DUMPABLE, prctl(2)).

    It still has root's terminal open, and root's environment. The programs that it starts can be traced again; they have neither.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def _go_on_as_child() -> int:
    parent = os.getpid()
    held_back = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    child = os.fork()
    if child:
        _wait_for(child, held_back)
    signal.pthread_sigmask(signal.SIG_SETMASK, held_back)
    return parent


def _wait_for(child: int, held_back: set[int | signal.Signals]) -> None:
    """Hand on signals to the child, and end as it does."""

    def hand_on(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in _FORWARDED:
        # What nohup ignores, the child ignores as well.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, hand_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, held_back)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

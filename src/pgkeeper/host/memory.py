"""How the memory of this process is given back."""

import ctypes
from functools import cache

_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE = 4 << 20


@cache
def give_back_large_buffers() -> None:
    """Have buffers of 4 MiB and more given back to the system as soon as nobody uses them.

    glibc raises the size from which it does that whenever such a buffer is let go, up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD); from then
    on it keeps them, in a heap for each thread. A program that sends or fetches in pieces of 8 MiB would grow by what happens to lie
    between them. Does nothing where the C library has no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)

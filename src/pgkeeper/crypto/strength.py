"""Which keys can be guessed.

A key needs 24 characters that are worth 100 bits together. A character is worth as many bits as it takes to tell the different
characters of the key apart; where three or more of them repeat what came before, the whole repetition counts as one.
"""

import math

_LENGTH = 24
_BITS = 100
_REPETITION = 3


def weakness(key: str) -> str:
    """Return why a key is too easy to guess, or nothing. The answer does not hold any of it."""
    if len(key) < _LENGTH:
        return f"it has fewer than {_LENGTH} characters"
    if _bits(key) < _BITS:
        return "it repeats itself, or has too few different characters"
    return ""


def _bits(key: str) -> float:
    return _without_repetitions(key) * math.log2(len(set(key)))


def _without_repetitions(key: str) -> int:
    """Return how many characters there are when each repetition counts as one."""
    count = position = 0
    while position < len(key):
        repeated = 0
        while position + repeated < len(key) and key.find(key[position : position + repeated + 1]) < position:
            repeated += 1
        position += repeated if repeated >= _REPETITION else 1
        count += 1
    return count

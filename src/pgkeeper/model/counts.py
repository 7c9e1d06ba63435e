"""A count and its noun."""


def count(number: int, noun: str, plural: str = "") -> str:
    """Return `number` with `noun` as English has it: "1 table", "2 tables"; `plural` where an s does not make one."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"

"""How a piece of ciphertext is put for its tag, so that no two different pieces look the same."""


def piece_heading(context: str, number: int) -> bytes:
    """Return what comes before piece `number` of the file that `context` names; both lengths are fixed by what is said first."""
    where = context.encode()
    return len(where).to_bytes(8, "big") + where + number.to_bytes(8, "big")

"""Words of commands that people paste into a shell."""

import shlex


def quoted(text: object) -> str:
    r"""Return `text` as one word of a bash command line, to stand in a command that we print.

    What can't be shown as it is (a line feed, say) is written as bash's `$'…'` writes it, so that printing leaves it alone.
    """
    word = str(text)
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(_escaped(character) for character in word)}'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))

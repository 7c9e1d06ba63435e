"""Sizes for people. The strategy counts in decimal units (1 GB = 10^9 bytes), as disks and clouds are sold."""


def format_size(size: float) -> str:
    """Return `size` bytes for people: `0 B`, `734 B`, `1.66 GB`."""
    if abs(size) < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if abs(size) < 999.5:
            digits = 2 if abs(size) < 10 else 1 if abs(size) < 100 else 0
            return f"{size:.{digits}f} {unit}"
    return f"{size / 1000:.2f} PB"


def format_signed_size(size: float) -> str:
    """Return a change of so many bytes for people: `+1.66 GB`, `-734 B`, `+0 B`."""
    return f"{'+' if size >= 0 else '-'}{format_size(abs(size))}"

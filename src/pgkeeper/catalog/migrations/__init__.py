"""How a catalog of an older release becomes one of this release."""

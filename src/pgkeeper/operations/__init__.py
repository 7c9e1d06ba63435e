"""What pgkeeper does: one file per verb, each read from top to bottom."""

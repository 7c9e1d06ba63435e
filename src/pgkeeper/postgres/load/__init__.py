"""Putting a backup into a database that is being rebuilt, with nobody's code running with more rights than its author's."""

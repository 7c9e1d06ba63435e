"""Promises kept through the command line, against a real PostgreSQL that the suite makes for itself."""

"""The command line: parses, shows, and calls operations."""

"""The machine pgkeeper runs on: users, processes, locks, files."""

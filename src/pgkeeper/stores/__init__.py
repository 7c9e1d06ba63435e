"""Places where backups are kept."""

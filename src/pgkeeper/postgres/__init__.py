"""PostgreSQL: sessions, its programs, and the text of its dumps."""

"""pgBackRest: what it is asked, and what it answers. Nothing else knows its command line."""

"""What can be decided without touching anything: no I/O, no clock, no environment."""

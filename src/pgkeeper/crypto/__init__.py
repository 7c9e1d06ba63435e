"""What leaves this host is encrypted here first, and opened here again."""

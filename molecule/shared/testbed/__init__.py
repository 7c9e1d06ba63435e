"""Debian hosts for the scenarios: a real systemd, cron and ssh, each with a network address of its own, on one machine and without Docker."""

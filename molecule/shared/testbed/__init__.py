"""Debian hosts for the scenarios, with a real systemd, cron and ssh, and each with an address of its own. No Docker."""

"""Promises that several adapters make alike."""

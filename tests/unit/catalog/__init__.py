"""Tests of pgkeeper.catalog."""

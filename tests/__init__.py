"""Tests, by room; a package so that no installed `tests` takes its place."""

"""One reader per input standard."""

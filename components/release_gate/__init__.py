"""Whether a model may be released, and why not."""

"""Whether a model can be served, before it is pushed."""

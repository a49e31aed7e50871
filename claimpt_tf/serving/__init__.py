"""Export, the loaders that prove it, the local server and its client."""

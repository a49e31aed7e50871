"""The page that compares a model with its baselines."""

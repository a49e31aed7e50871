"""Executor of ModelReport."""

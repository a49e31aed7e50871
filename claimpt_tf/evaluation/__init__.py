"""Metrics with intervals, baselines on counts, and the report."""

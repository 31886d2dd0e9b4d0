"""Strategies at work: pools, runs, learning curves and their metrics."""

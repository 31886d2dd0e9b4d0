"""Intervals, bootstrap and ranks: arrays in, arrays out. Knows nothing of models, files or Django."""

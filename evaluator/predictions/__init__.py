"""Prediction files from strangers: read, checked completely, turned into answers. Torch-free; never opens a key."""

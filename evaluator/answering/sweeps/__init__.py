"""All merges of two checkpoints asked in turn."""

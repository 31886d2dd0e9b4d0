"""Tiny contrastive models truly trained on drawn micrographs: a generalist, a novice and two specialists."""

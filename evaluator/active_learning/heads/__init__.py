"""Classifiers trained on labelled embeddings; each gives a LinearHead."""

"""Architectures by name, and the encoders built from them. registry.py and choices.py are torch-free."""

"""Releases on disk: import from the Hub layout, read, pack. Torch-free."""

"""Submitted weights as bytes: what a file really is, its header, its keys. Never unpickles, knows no release."""

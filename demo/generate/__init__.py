"""Draws a µ-Bench-like benchmark and writes it in the Hub's layout, to stand in for real micrographs."""

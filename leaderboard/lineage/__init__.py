"""Tuned models and their bases: who names whom, what was forgotten, what merging them gives."""

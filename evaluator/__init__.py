"""Evaluator of the µ-Bench leaderboard: releases, weights, answers, scores, statistics. Knows nothing of Django."""

__version__ = "0.1.0"

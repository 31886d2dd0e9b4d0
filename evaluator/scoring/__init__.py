"""Scoring: answers and key in, report out. Torch-free; never sees weights."""

from evaluator.scoring.report import SCORER_VERSION, Scored, canonical_json, report_digest, score

__all__ = ["SCORER_VERSION", "Scored", "canonical_json", "report_digest", "score"]

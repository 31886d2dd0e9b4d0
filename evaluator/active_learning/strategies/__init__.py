"""Query strategies and starts: pure functions from a State, or a Pool, to ids."""

from evaluator.active_learning.strategies.table import ask, query_of

__all__ = ["ask", "query_of"]

"""Query strategies and starts: pure functions from a State, or a Pool, to ids."""

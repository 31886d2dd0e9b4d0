"""Fixtures of these tests."""

from tests.builders.standing import standing

__all__ = ["standing"]

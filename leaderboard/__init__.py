"""The web side of the µ-Bench leaderboard: Django project package and app. Never imports torch."""

"""The leaderboard as a Django app."""

from django.apps import AppConfig


class LeaderboardConfig(AppConfig):
    name = "leaderboard"
    verbose_name = "µ-Bench leaderboard"
    default_auto_field = "django.db.models.BigAutoField"

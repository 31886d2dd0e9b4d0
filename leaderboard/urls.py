"""Every address of the server: pages, API, accounts, staff tools, health."""

from django.contrib import admin
from django.urls import include, path

from leaderboard import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("metrics", health.metrics, name="metrics"),
    path("account/", include("allauth.account.urls")),
    path("api/v1/", include("leaderboard.api.urls")),
    path("organise/admin/", admin.site.urls),
    path("", include("leaderboard.pages.urls")),
]

"""Django's own admin for what has no page: accounts, and who may see a release. Everything else is looked at only."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from leaderboard.models import Event, Model, Release, User

admin.site.register(User, UserAdmin)


class Unchanging(admin.ModelAdmin):
    """Rows that are neither made nor removed by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Release)
class ReleaseAdmin(Unchanging):
    list_display = ("slug", "name", "version", "visibility", "key_revision")
    fields = ("visibility", "listed")
    autocomplete_fields = ("listed",)


@admin.register(Model)
class ModelAdmin(Unchanging):
    list_display = ("slug", "name", "owner", "is_reference", "is_reference_encoder")
    list_filter = ("is_reference", "is_reference_encoder")
    search_fields = ("slug", "name")
    fields = ("is_reference", "is_reference_encoder")


@admin.register(Event)
class EventAdmin(Unchanging):
    list_display = ("at", "submission", "study", "queue", "from_state", "to_state", "token", "actor", "note")
    list_filter = ("to_state",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

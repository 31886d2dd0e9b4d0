"""Benchmark releases and the revisions of their keys. The key itself is never in the database."""

from typing import TYPE_CHECKING

from django.db import models as db

if TYPE_CHECKING:
    from leaderboard.models.people import User


class Visibility(db.TextChoices):
    """Who may know that a release exists."""

    PUBLIC = "public"
    LISTED = "listed"
    STAFF = "staff"


class Release(db.Model):
    """An immutable benchmark release; its public part lies under RELEASE_ROOT/<slug>, its keys under KEY_ROOT."""

    slug = db.SlugField(max_length=80, unique=True)
    name = db.CharField(max_length=200)
    version = db.CharField(max_length=40)
    hash = db.CharField(max_length=64, unique=True)
    public_items = db.BooleanField(default=False)
    visibility = db.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLIC)
    listed: "db.ManyToManyField[User, db.Model]" = db.ManyToManyField(
        "User", blank=True, related_name="listed_releases"
    )
    info = db.JSONField(help_text="release.json as imported: split sizes, datasets, licences")
    summary = db.JSONField(default=dict, help_text="tasks and facet values with counts, per split; safe to publish")
    key_revision = db.ForeignKey(
        "KeyRevision", null=True, blank=True, on_delete=db.PROTECT, related_name="+", help_text="the revision in force"
    )
    created_at = db.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def key_in_force(self) -> "KeyRevision":
        """The revision that scores are computed with; an imported release has one."""
        if self.key_revision is None:
            raise RuntimeError(f"release {self.slug} has no key")
        return self.key_revision


class KeyRevision(db.Model):
    """A numbered revision of a release's right answers; the files lie under KEY_ROOT/<release>/<number>/."""

    release = db.ForeignKey(Release, on_delete=db.CASCADE, related_name="key_revisions")
    number = db.PositiveIntegerField()
    note = db.TextField(blank=True)
    created_at = db.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [db.UniqueConstraint(fields=["release", "number"], name="key_revision_number")]

    def __str__(self) -> str:
        return f"{self.release} key {self.number}"

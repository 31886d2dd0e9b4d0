"""Submissions that named a base before links were kept get one, as it was said when they were submitted."""

from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def link(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    submissions, links = apps.get_model("leaderboard", "Submission"), apps.get_model("leaderboard", "BaseLink")
    submission: Any  # of the state of this migration
    for submission in submissions.objects.exclude(base=None).filter(base_links=None).iterator():
        made = links.objects.create(
            submission=submission, model=submission.base, base=submission.base_submission, target=submission.target,
            after_scores=False,
        )  # fmt: skip
        links.objects.filter(pk=made.pk).update(declared_at=submission.created_at)


class Migration(migrations.Migration):
    dependencies = [("leaderboard", "0007_lineage")]
    operations = [migrations.RunPython(link, migrations.RunPython.noop)]

"""Fetching submitted files. In: a submission, a file's name, a person; out: the file as a response, or a refusal."""

from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404

from leaderboard import permissions, storage
from leaderboard.lineage import pairs
from leaderboard.models import Submission
from leaderboard.permissions import AnyUser


def may_download(user: AnyUser, submission: Submission) -> bool:
    """Whether `user` may fetch the submission's files."""
    parents = [parent.submission for parent in pairs.parents_of(submission)]
    return permissions.may_download(user, submission, parents)


def download(submission: Submission, name: str, *, by: AnyUser) -> FileResponse:
    """The file of that name. 403 where a merge would give away another author's weights, 404 without such a file."""
    if not may_download(by, submission):
        raise PermissionDenied(
            "the weights of another author went into this merge: make it on your own machine with "
            "`python -m evaluator merge`"
        )
    found = next((file for file in submission.files if file["name"] == name), None)
    if found is None:
        raise Http404("there is no such file")
    return FileResponse(default_storage.open(storage.blob_name(found["sha256"])), as_attachment=True, filename=name)

"""Submissions as JSON: send one, read where it stands, publish, cancel or withdraw it. The rules are the use cases'."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, status
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluator.errors import InputError
from leaderboard import detail, permissions, publication, submissions
from leaderboard.api.schema import refusals
from leaderboard.api.serializers import (
    CreatedSerializer,
    NewSubmissionSerializer,
    SubmissionListSerializer,
    SubmissionSerializer,
)
from leaderboard.intake import NewSubmission
from leaderboard.models import Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.permissions import Action
from leaderboard.runs import read_run
from leaderboard.uploads import received

IDEMPOTENCY_HEADER = "Idempotency-Key"
LONGEST_KEY = 120
KEY_PARAMETER = OpenApiParameter(
    IDEMPOTENCY_HEADER, location=OpenApiParameter.HEADER, required=False,
    description="sent again with the same request, it returns the submission that it made",
)  # fmt: skip


class SubmissionsView(generics.ListAPIView):
    """One's own submissions; POST makes another."""

    permission_classes = [IsAuthenticated]
    parser_classes = [MultiPartParser]  # files are streamed to disk by the server's upload handler
    serializer_class = SubmissionListSerializer

    def get_queryset(self) -> QuerySet[Submission]:
        """The latest first."""
        rows = Submission.objects.filter(owner_id=self.request.user.pk).select_related("model", "release")
        return rows.prefetch_related("evaluations").order_by("-created_at")

    @extend_schema(
        responses={200: SubmissionListSerializer(many=True), **refusals(401, 429)}, operation_id="submissions"
    )
    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        """Your submissions, the latest first."""
        return self.list(request, *args, **kwargs)

    @extend_schema(
        request={"multipart/form-data": NewSubmissionSerializer}, parameters=[KEY_PARAMETER], operation_id="submit",
        responses={201: CreatedSerializer, **refusals(400, 401, 403, 404, 413, 415, 429)},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Submit a checkpoint or a prediction file."""
        submission = submissions.submit(permissions.signed_in(request.user), _read_new(request))
        answer = _acted(submission)
        return Response(
            answer,
            status=status.HTTP_201_CREATED,
            headers={"Location": reverse("api-submission", args=[submission.pk])},
        )


class SubmissionView(APIView):
    """One submission."""

    @extend_schema(responses={200: SubmissionSerializer, **refusals(401, 404, 429)}, operation_id="submission")
    def get(self, request: Request, pk: UUID) -> Response:
        """Where it stands, and its reports: all for its owner, the published ones for everyone."""
        found = permissions.get_submission(request.user, pk)
        return Response(_detail(detail.read_detail(request.user, found)))


def acting(operation: str) -> Callable[..., Any]:
    """How an act on one's own submission is described; its request has no body."""
    codes = refusals(401, 403, 404, 409, 429)
    return extend_schema(request=None, responses={200: CreatedSerializer, **codes}, operation_id=operation)


class PublishView(APIView):
    """Publishing what was scored."""

    permission_classes = [IsAuthenticated]

    @acting("publish")
    def post(self, request: Request, pk: UUID) -> Response:
        """Put the latest report of every scored split on the boards. This cannot be undone."""
        submission = permissions.get_submission(request.user, pk, to=Action.PUBLISH)
        publication.publish_all(submission, by=permissions.signed_in(request.user))
        return Response(_acted(submission))


class WithdrawView(APIView):
    """Taking a submission back."""

    permission_classes = [IsAuthenticated]

    @acting("withdraw")
    def post(self, request: Request, pk: UUID) -> Response:
        """Take it back for good; published entries become tombstones."""
        submission = permissions.get_submission(request.user, pk, to=Action.WITHDRAW)
        submissions.withdraw(submission, by=permissions.signed_in(request.user))
        return Response(_acted(submission))


class CancelView(APIView):
    """Stopping what runs."""

    permission_classes = [IsAuthenticated]

    @acting("cancel")
    def post(self, request: Request, pk: UUID) -> Response:
        """Stop every evaluation that has not ended. It costs nothing."""
        submission = permissions.get_submission(request.user, pk, to=Action.CANCEL)
        submissions.cancel(submission, by=permissions.signed_in(request.user))
        return Response(_acted(submission))


def _read_new(request: Request) -> NewSubmission:
    fields = NewSubmissionSerializer(data=request.data)
    fields.is_valid(raise_exception=True)
    values = fields.validated_data
    key = request.headers.get(IDEMPOTENCY_HEADER, "")
    if len(key) > LONGEST_KEY or not key.isprintable():
        message = f"Use at most {LONGEST_KEY} printable characters."
        raise InputError.single("idempotency_key", message, field=IDEMPOTENCY_HEADER)
    return NewSubmission(
        release=permissions.get_release(request.user, values["release"]), model=values["model"],
        kind=SubmissionKind(values["kind"]), files=tuple(received(upload) for upload in values["file"]),
        split=values["split"], architecture=values["architecture"], base=values["base"],
        target=tuple(values["target"]), sha256=values["sha256"], publish=values["publish"],
        kept_private=values["kept_private"],
        idempotency_key=key or None,
    )  # fmt: skip


def _acted(submission: Submission) -> dict[str, Any]:
    return {"id": str(submission.pk), "state": submissions.combined_state(submission)}


def _detail(found: detail.Detail) -> dict[str, Any]:
    submission = found.submission
    answer = {
        "id": str(submission.pk), "state": found.state, "submission_state": submission.state,
        "model": submission.model.slug, "release": submission.release.slug, "kind": submission.kind,
        "sha256": submission.file_sha256, "created_at": submission.created_at, "facts": found.facts,
        "evaluations": [_evaluation(each, inspects=found.inspects) for each in found.evaluations],
        "reports": {split: report.document for split, report in found.reports.items()},
        "events": [
            {"at": event.at, "state": event.to_state, "split": event.evaluation.split if event.evaluation else ""}
            for event in found.events
        ],
    }  # fmt: skip
    if found.inspects and len(submission.files) > 1:
        answer["files"] = submission.files
    if found.inspects and submission.problem_counts:
        answer |= {"problems": submission.problems, "problem_counts": submission.problem_counts}
    return answer


def _evaluation(found: detail.EvaluationDetail, *, inspects: bool) -> dict[str, Any]:
    evaluation = found.evaluation
    answer = {
        "id": str(evaluation.pk), "split": evaluation.split, "state": evaluation.state,
        "published": found.entry is not None,
    }  # fmt: skip
    if run := read_run(evaluation.run):
        answer["run"] = run.as_json()
    if inspects and evaluation.failure_message:
        answer["failure"] = evaluation.failure_message
    return answer

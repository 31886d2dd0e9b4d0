"""Bases, what was forgotten and what merging gives, as JSON. The documents are those of the command line."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluator.release.info import info_from_json
from evaluator.release.schema import Split
from leaderboard import files, permissions
from leaderboard.api.schema import refusals
from leaderboard.api.serializers import CreatedSerializer
from leaderboard.boards.names import default_split
from leaderboard.lineage import derived, links, reading, sweeps
from leaderboard.lineage.reading import Lineage
from leaderboard.models import Analysis, BaseLink, Release, Submission
from leaderboard.permissions import Action
from leaderboard.submissions import combined_state

SPLIT_PARAMETER = OpenApiParameter("split", enum=list(Split), description="default: the hidden split shown first")


class LinkSerializer(serializers.Serializer):
    """What a submission was tuned from. A base that the reader may not know of has no id here."""

    model = serializers.SlugField()
    submission = serializers.UUIDField(allow_null=True)
    target = serializers.ListField(child=serializers.CharField(), help_text="FACET=VALUE")
    declared_at = serializers.DateTimeField()
    after_scores = serializers.BooleanField(help_text="declared when a score of the submission could be seen")


class RefusalOfMergeSerializer(serializers.Serializer):
    """Why the two cannot be merged."""

    code = serializers.CharField()
    message = serializers.CharField()


class SweepSerializer(serializers.Serializer):
    """The latest sweep, for the owner."""

    id = serializers.UUIDField()
    state = serializers.CharField()
    split = serializers.CharField()
    progress = serializers.DictField()
    failure = serializers.CharField(allow_blank=True)


class KinshipSerializer(serializers.Serializer):
    """How related two checkpoints' weights are, for the owner."""

    base = serializers.CharField(help_text="what to give as base")
    model = serializers.SlugField()
    identical_share = serializers.FloatField(help_text="of the tensors")
    distance = serializers.FloatField(help_text="of sampled weights, relative to the base's")
    looks_tuned = serializers.BooleanField()


class LineageSerializer(serializers.Serializer):
    """Where a submission comes from, as far as the asker may read it."""

    link = LinkSerializer(allow_null=True)
    history = LinkSerializer(many=True)
    forgetting = serializers.DictField(child=serializers.URLField(), help_text="by split")
    interpolation = serializers.URLField(allow_null=True)
    not_applicable = RefusalOfMergeSerializer(allow_null=True)
    sweep = SweepSerializer(allow_null=True)
    kinship = KinshipSerializer(allow_null=True)
    suggestions = KinshipSerializer(many=True)
    derived = CreatedSerializer(many=True)


class NewBaseSerializer(serializers.Serializer):
    """A base and a target domain."""

    base = serializers.CharField(max_length=120, help_text="a model's slug or a submission's id")
    target = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, default=list, max_length=50,
        help_text="FACET=VALUE; values of one facet are alternatives, different facets must all hold",
    )  # fmt: skip


class NewMergeSerializer(serializers.Serializer):
    """Where between base and tuned, and the short name of the merge's model."""

    alpha = serializers.FloatField(help_text="0 is the base, 1 the submission itself")
    model = serializers.CharField(max_length=80)


class NewSoupSerializer(serializers.Serializer):
    """Fine-tunes of one base, and the short name of their mean's model."""

    parts = serializers.ListField(child=serializers.UUIDField(), max_length=derived.MOST_PARTS)
    model = serializers.CharField(max_length=80)


class GainSerializer(serializers.Serializer):
    """A model that gained in its target domain, with its whole analysis."""

    model = serializers.SlugField()
    submission = serializers.UUIDField()
    base = serializers.SlugField()
    forgetting = serializers.DictField(help_text="forgetting.json")


class LineageView(APIView):
    """Where a submission comes from."""

    @extend_schema(responses={200: LineageSerializer, **refusals(401, 404, 429)}, operation_id="lineage")
    def get(self, request: Request, pk: UUID) -> Response:
        """Its base, its target domain, and where the analyses are."""
        found = permissions.get_submission(request.user, pk)
        return Response(_lineage(request, reading.of_submission(request.user, found)))


class BaseView(APIView):
    """Naming the base."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        request=NewBaseSerializer, responses={200: LineageSerializer, **refusals(400, 401, 403, 404, 429)},
        operation_id="name_base",
    )  # fmt: skip
    def put(self, request: Request, pk: UUID) -> Response:
        """Say what it was tuned from and for which items. Earlier declarations stay on record."""
        found = permissions.get_submission(request.user, pk, to=Action.DESCRIBE)
        values = _read(NewBaseSerializer, request)
        links.declare(found, values["base"].strip(), values["target"], by=permissions.signed_in(request.user))
        return Response(_lineage(request, reading.of_submission(request.user, found)))


class SweepView(APIView):
    """Sweeping the merges with the base."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        request=None, responses={202: SweepSerializer, **refusals(400, 401, 403, 404, 429)}, operation_id="sweep"
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Queue one sweep of 21 α between base and submission; the one that stands is returned as it is."""
        found = permissions.get_submission(request.user, pk, to=Action.DESCRIBE)
        sweep = sweeps.ask(found, by=permissions.signed_in(request.user))
        return Response(_sweep(sweep), status=status.HTTP_202_ACCEPTED)


class MergeView(APIView):
    """Submitting a merge."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        request=NewMergeSerializer, responses={201: CreatedSerializer, **refusals(400, 401, 403, 404, 429)},
        operation_id="submit_merge",
    )  # fmt: skip
    def post(self, request: Request, pk: UUID) -> Response:
        """Submit (1 − α) · base + α · tuned as a model of its own, unranked."""
        found = permissions.get_submission(request.user, pk, to=Action.DESCRIBE)
        values = _read(NewMergeSerializer, request)
        made = derived.submit_merge(
            found, values["alpha"], values["model"], by=permissions.signed_in(request.user)
        )  # fmt: skip
        return _created(made)


class SoupView(APIView):
    """Submitting a soup."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        request=NewSoupSerializer, responses={201: CreatedSerializer, **refusals(400, 401, 403, 404, 429)},
        operation_id="submit_soup",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Submit the uniform mean of several of your fine-tunes of one base, unranked."""
        values = _read(NewSoupSerializer, request)
        parts = [permissions.get_submission(request.user, pk, to=Action.DESCRIBE) for pk in values["parts"]]
        return _created(derived.submit_soup(parts, values["model"], by=permissions.signed_in(request.user)))


class ForgettingView(APIView):
    """What a submission forgot."""

    @extend_schema(
        parameters=[SPLIT_PARAMETER], responses={200: OpenApiTypes.OBJECT, **refusals(401, 404, 429)},
        operation_id="forgetting",
    )  # fmt: skip
    def get(self, request: Request, pk: UUID) -> Response:
        """forgetting.json of one split."""
        found = permissions.get_submission(request.user, pk)
        analyses = reading.of_submission(request.user, found).forgetting
        return Response(_document(analyses.get(_split(request, found.release))))


class InterpolationView(APIView):
    """What merging a submission with its base gives."""

    @extend_schema(
        responses={200: OpenApiTypes.OBJECT, **refusals(401, 404, 429)}, operation_id="interpolation",
    )  # fmt: skip
    def get(self, request: Request, pk: UUID) -> Response:
        """interpolation.json."""
        found = permissions.get_submission(request.user, pk)
        return Response(_document(reading.of_submission(request.user, found).interpolation))


class GainsView(APIView):
    """The models of a release that gained in their target domain."""

    @extend_schema(
        parameters=[SPLIT_PARAMETER], responses={200: GainSerializer(many=True), **refusals(401, 404, 429)},
        operation_id="release_forgetting",
    )  # fmt: skip
    def get(self, request: Request, release: str) -> Response:
        """Models with a significant gain inside their target, by the share of the base's skill that they retained."""
        found = permissions.get_release(request.user, release)
        return Response([
            {
                "model": each.link.submission.model.slug, "submission": str(each.link.submission_id),
                "base": each.link.model.slug, "forgetting": each.document,
            }
            for each in reading.gains_of_release(found, Split(_split(request, found)))
        ])  # fmt: skip


class FileView(APIView):
    """A submitted file."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, **refusals(401, 403, 404, 429)},
        operation_id="file",
    )  # fmt: skip
    def get(self, request: Request, pk: UUID, name: str) -> HttpResponseBase:
        """The file as it was submitted or, of a merge, made; its owner's alone."""
        return files.download(permissions.get_submission(request.user, pk, to=Action.INSPECT), name, by=request.user)


def _read(form: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    fields = form(data=request.data)
    fields.is_valid(raise_exception=True)
    return fields.validated_data


def _split(request: Request, release: Release) -> str:
    asked = request.query_params.get("split") or default_split(info_from_json(release.info)).value
    if asked not in release.info["splits"]:
        raise Http404("no such split")
    return asked


def _document(analysis: Analysis | None) -> dict[str, Any]:
    if analysis is None:
        raise Http404("there is no such analysis")
    return analysis.document


def _created(made: Submission) -> Response:
    answer = {"id": str(made.pk), "state": combined_state(made)}
    place = {"Location": reverse("api-submission", args=[made.pk])}
    return Response(answer, status=status.HTTP_201_CREATED, headers=place)


def _lineage(request: Request, found: Lineage) -> dict[str, Any]:
    place = [found.tuned.pk]
    return {
        "link": _link(request, found.link), "history": [_link(request, each) for each in found.history],
        "forgetting": {
            split: request.build_absolute_uri(f"{reverse('api-forgetting', args=place)}?split={split}")
            for split in found.forgetting
        },
        "interpolation": (
            request.build_absolute_uri(reverse("api-interpolation", args=place)) if found.interpolation else None
        ),
        "not_applicable": (
            dict(zip(("code", "message"), found.not_applicable, strict=True)) if found.not_applicable else None
        ),
        "sweep": _sweep(found.sweep) if found.sweep else None,
        "kinship": _kinship(found.link.model.slug, found.link.model.slug, found.kinship)
                   if found.link and found.kinship else None,
        "suggestions": [_kinship(each.base, each.model.slug, each.kinship) for each in found.suggestions],
        "derived": [{"id": str(each.pk), "state": combined_state(each)} for each in found.derived],
    }  # fmt: skip


def _link(request: Request, link: BaseLink | None) -> dict[str, Any] | None:
    if link is None:
        return None
    visible = permissions.visible_to(request.user, Submission.objects.filter(tuned_links=link))
    return {
        "model": link.model.slug, "submission": str(link.base_id) if visible.exists() else None,
        "target": link.target, "declared_at": link.declared_at, "after_scores": link.after_scores,
    }  # fmt: skip


def _sweep(sweep: Any) -> dict[str, Any]:
    return {
        "id": str(sweep.pk), "state": sweep.state, "split": sweep.split, "progress": sweep.progress,
        "failure": sweep.failure_message,
    }  # fmt: skip


def _kinship(base: str, model: str, kin: Any) -> dict[str, Any]:
    return {
        "base": base, "model": model, "identical_share": kin.identical_share, "distance": kin.distance,
        "looks_tuned": kin.looks_tuned,
    }  # fmt: skip

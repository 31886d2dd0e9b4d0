"""Label efficiency and the comparison of query strategies, as JSON. The documents are those of the command line."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluator.active_learning.names import Start
from leaderboard import permissions
from leaderboard.api.schema import refusals
from leaderboard.label_efficiency import reading
from leaderboard.label_efficiency.rows import Standing

DATASET = OpenApiParameter("dataset", description="slug of a fine dataset; default: over all ranked ones")
ONLY = (
    OpenApiParameter("dataset", description="slug: only comparisons on this dataset"),
    OpenApiParameter("encoder", description="slug of a model: only comparisons by this reference encoder"),
    OpenApiParameter("start", enum=list(Start), description="only comparisons from this start"),
)


class IntervalSerializer(serializers.Serializer):
    """A fraction with its 95 % interval; null ends where there is none."""

    estimate = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class EfficiencyCellSerializer(serializers.Serializer):
    """One encoder on one dataset."""

    aulc = IntervalSerializer(allow_null=True, help_text="on log2 labels, chance-corrected")
    gain = IntervalSerializer(allow_null=True, help_text="of labelling its own choice over common labels")
    labels_to = serializers.DictField(help_text="target: {labels, low, high, state}")
    zero_shot = IntervalSerializer(allow_null=True, help_text="balanced accuracy without labels")
    ceiling = IntervalSerializer(allow_null=True, help_text="balanced accuracy with the whole pool labelled")
    n_classes = serializers.IntegerField()
    most_labels = serializers.IntegerField(allow_null=True)
    stale = serializers.BooleanField()


class EfficiencyRowSerializer(serializers.Serializer):
    """One model; over all datasets `aulc` and `gain` are means over the ranked ones."""

    model = serializers.SlugField()
    name = serializers.CharField()
    submission = serializers.UUIDField()
    kind = serializers.CharField()
    rank = serializers.IntegerField(allow_null=True)
    rank_low = serializers.IntegerField(allow_null=True)
    rank_high = serializers.IntegerField(allow_null=True)
    group = serializers.IntegerField(allow_null=True)
    aulc = IntervalSerializer(allow_null=True)
    gain = IntervalSerializer(allow_null=True)
    labels_to = serializers.DictField(allow_null=True)
    zero_shot = IntervalSerializer(allow_null=True)
    ceiling = IntervalSerializer(allow_null=True)
    per_dataset = serializers.DictField(child=EfficiencyCellSerializer(), help_text="by slug")
    stale = serializers.BooleanField()
    unranked_reason = serializers.CharField(allow_blank=True)


class EfficiencyDatasetSerializer(serializers.Serializer):
    """A fine dataset, and why it is not ranked."""

    slug = serializers.CharField()
    title = serializers.CharField()
    ranked = serializers.BooleanField()
    reason = serializers.CharField(allow_blank=True)
    n_classes = serializers.IntegerField(allow_null=True)
    pool_items = serializers.IntegerField(allow_null=True)
    items = serializers.IntegerField(allow_null=True)


class EfficiencyBoardSerializer(serializers.Serializer):
    """Encoders by label efficiency. `waiting`: models whose study has yet to end."""

    release = serializers.SlugField()
    split = serializers.CharField()
    dataset = serializers.CharField(allow_null=True)
    rows = EfficiencyRowSerializer(many=True)
    datasets = EfficiencyDatasetSerializer(many=True)
    waiting = serializers.IntegerField()
    resolvable_difference = serializers.FloatField(allow_null=True)
    seeds = serializers.IntegerField(allow_null=True)
    per_class = serializers.ListField(child=serializers.IntegerField())


class ComparisonSerializer(serializers.Serializer):
    """Query strategies from one start; dataset and encoder are null where it is pooled over them."""

    dataset = serializers.CharField(allow_null=True)
    encoder = serializers.SlugField(allow_null=True)
    submission = serializers.UUIDField(allow_null=True)
    start = serializers.CharField()
    document = serializers.DictField()


class ComparisonsSerializer(serializers.Serializer):
    """`waiting`: studies of the release that have yet to end."""

    comparisons = ComparisonSerializer(many=True)
    waiting = serializers.IntegerField()


class SubmissionEfficiencySerializer(serializers.Serializer):
    """The label efficiency of one submission, by dataset, as far as the asker may read it."""

    state = serializers.ChoiceField(choices=[(state.value, state.value) for state in Standing])
    reason = serializers.CharField(allow_blank=True)
    datasets = serializers.DictField(child=serializers.DictField(), help_text="efficiency.json by slug")


class EfficiencyView(APIView):
    """The board Label efficiency."""

    @extend_schema(
        parameters=[DATASET], responses={200: EfficiencyBoardSerializer, **refusals(401, 404, 429)},
        operation_id="label_efficiency",
    )  # fmt: skip
    def get(self, request: Request, release: str) -> Response:
        """Encoders ranked by what they reach with few labels, with the same labels for all."""
        found = permissions.get_release(request.user, release)
        return Response(asdict(reading.board(request.user, found, request.query_params.get("dataset") or None)))


class StrategiesView(APIView):
    """Query strategies compared."""

    @extend_schema(
        parameters=[*ONLY], responses={200: ComparisonsSerializer, **refusals(401, 404, 429)},
        operation_id="strategies",
    )  # fmt: skip
    def get(self, request: Request, release: str) -> Response:
        """Which strategy spends labels best, by dataset, reference encoder and start, and pooled."""
        found = permissions.get_release(request.user, release)
        only = {name: request.query_params.get(name, "") for name in ("dataset", "encoder", "start")}
        compared = reading.comparisons(request.user, found, only["dataset"] or None)
        shown = [
            each for each in compared.found
            if only["encoder"] in ("", each.encoder) and only["start"] in ("", each.start)
        ]  # fmt: skip
        return Response({"comparisons": [_comparison(each) for each in shown], "waiting": compared.waiting})


class SubmissionEfficiencyView(APIView):
    """The label efficiency of a submission."""

    @extend_schema(
        responses={200: SubmissionEfficiencySerializer, **refusals(401, 404, 429)},
        operation_id="submission_label_efficiency",
    )  # fmt: skip
    def get(self, request: Request, pk: UUID) -> Response:
        """Where it stands, and efficiency.json of every dataset."""
        found = permissions.get_submission(request.user, pk)
        status = reading.state_of(found)
        return Response({
            "state": status.standing, "reason": status.reason,
            "datasets": {reading.slug_of(row): row.document for row in reading.of_submission(request.user, found)},
        })  # fmt: skip


def _comparison(found: Any) -> dict[str, Any]:
    return {
        "dataset": found.dataset, "encoder": found.encoder, "submission": found.submission, "start": found.start,
        "document": found.document,
    }  # fmt: skip

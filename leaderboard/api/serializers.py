"""The JSON of the API, flat and explicit: what each answer holds. Numbers are fractions 0–1; null is "not measured"."""

from rest_framework import serializers
from rest_framework.fields import Field

from evaluator.scoring.index import Group
from leaderboard.boards.view import KINDS
from leaderboard.models import Model, Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.submissions import combined_state


class ErrorSerializer(serializers.Serializer):
    """One problem of a request: it names a field or a row."""

    field = serializers.CharField(required=False)
    row = serializers.IntegerField(required=False)
    code = serializers.CharField()
    message = serializers.CharField()


class RefusalSerializer(serializers.Serializer):
    """The one shape of every 4xx answer."""

    code = serializers.CharField()
    message = serializers.CharField()
    errors = ErrorSerializer(many=True)  # type: ignore[assignment]  # a field here, a property of the base


class SplitSerializer(serializers.Serializer):
    """Sizes of one split; `pack` is where its question pack lies, null when there is none."""

    name = serializers.CharField()
    items = serializers.IntegerField()
    questions = serializers.IntegerField()
    sources = serializers.IntegerField()
    pack = serializers.CharField(allow_null=True)


class TaskSerializer(serializers.Serializer):
    """One task with its sizes on the default split."""

    slug = serializers.CharField()
    title = serializers.CharField()
    group = serializers.ChoiceField(choices=[group.value for group in Group])
    n_questions = serializers.IntegerField()
    n_sources = serializers.IntegerField()


class ReleaseSerializer(serializers.Serializer):
    """A benchmark release."""

    slug = serializers.CharField()
    name = serializers.CharField()
    version = serializers.CharField()
    hash = serializers.CharField()
    public_items = serializers.BooleanField()
    key_revision = serializers.IntegerField(allow_null=True)
    splits = SplitSerializer(many=True)
    tasks = TaskSerializer(many=True)


class BoardNameSerializer(serializers.Serializer):
    """A board that can be asked for."""

    board = serializers.CharField()
    title = serializers.CharField()
    url = serializers.CharField()


class CellSerializer(serializers.Serializer):
    """A score with its 95 % interval."""

    score = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n_questions = serializers.IntegerField(allow_null=True, help_text="null where a published row does not say")


class RowSerializer(CellSerializer):
    """One model on a board; `rank` is null for what stands unranked, and `reason` says why."""

    rank = serializers.IntegerField(allow_null=True)
    rank_low = serializers.IntegerField(allow_null=True)
    rank_high = serializers.IntegerField(allow_null=True)
    group = serializers.IntegerField(allow_null=True)
    model = serializers.CharField()
    submission = serializers.UUIDField(allow_null=True, help_text="null for a row of the paper")
    kind = serializers.ChoiceField(choices=KINDS)
    verified = serializers.BooleanField()
    protocol = serializers.CharField()
    stale = serializers.BooleanField()
    reason = serializers.CharField(allow_blank=True)
    precision = serializers.CharField(allow_blank=True, help_text="where it is not the official one, such as bf16")
    agreement = serializers.FloatField(allow_null=True, help_text="of such a run: share of choices equal to fp32's")
    unparsed = serializers.FloatField(allow_null=True, help_text="share of replies that name no single option")
    tasks = serializers.DictField(child=CellSerializer())


class BoardSerializer(serializers.Serializer):
    """One ranked view."""

    release = serializers.CharField()
    split = serializers.CharField()
    board = serializers.CharField()
    facets = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    metric = serializers.CharField()
    resolvable_difference = serializers.FloatField(allow_null=True)
    chance = serializers.FloatField(allow_null=True)
    majority = serializers.FloatField(allow_null=True)
    rows = RowSerializer(many=True)


class ArchitectureSerializer(serializers.Serializer):
    """An architecture that a checkpoint may name."""

    name = serializers.CharField()
    family = serializers.CharField()
    library = serializers.CharField()
    parameters = serializers.IntegerField(allow_null=True)
    image_px = serializers.IntegerField(allow_null=True)
    context_length = serializers.IntegerField(allow_null=True, help_text="tokens of text; longer texts are cut")
    activation = serializers.CharField(allow_null=True)
    preprocessing = serializers.CharField(allow_null=True)
    twin = serializers.CharField(
        allow_null=True, help_text="same tensors, other activation: a file of one loads as the other, scores differ"
    )
    notes = serializers.CharField(allow_null=True, help_text="what the organisers who placed it say of it")


class ModelSerializer(serializers.ModelSerializer):
    """A model as its author describes it."""

    base: Field = serializers.SlugRelatedField(slug_field="slug", read_only=True, allow_null=True)

    class Meta:
        model = Model
        fields = (
            "slug", "name", "is_baseline", "authors", "organisation", "description", "architecture", "parameters",
            "paper", "licence", "training_data", "weights_link", "base", "created_at",
        )  # fmt: skip


class SubmissionListSerializer(serializers.ModelSerializer):
    """A submission of one's own, in short."""

    model: Field = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    release: Field = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    state = serializers.SerializerMethodField(help_text="the combined line, in one word")

    class Meta:
        model = Submission
        fields = ("id", "state", "model", "release", "kind", "split", "created_at")

    def get_state(self, submission: Submission) -> str:
        """The combined line; its evaluations are prefetched."""
        return combined_state(submission)


class AgreementSerializer(serializers.Serializer):
    """How far a run in reduced precision chose as the one in fp32 did."""

    rows = serializers.IntegerField()
    share = serializers.FloatField()


class RunSerializer(serializers.Serializer):
    """How the answers were computed, and what that cost; null is "not recorded"."""

    device = serializers.CharField(allow_null=True)
    device_kind = serializers.CharField(allow_null=True)
    driver = serializers.CharField(allow_null=True)
    precision = serializers.CharField(allow_null=True)
    official_precision = serializers.BooleanField()
    agreement = AgreementSerializer(allow_null=True)
    images_per_s = serializers.FloatField(allow_null=True)
    peak_memory_bytes = serializers.IntegerField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    resumed_at = serializers.IntegerField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField())


class EvaluationSerializer(serializers.Serializer):
    """The latest evaluation of one split; `failure` is the owner's to read."""

    id = serializers.UUIDField()
    split = serializers.CharField()
    state = serializers.CharField()
    published = serializers.BooleanField()
    run = RunSerializer(required=False, help_text="once answered by our worker")
    failure = serializers.CharField(required=False)


class EventSerializer(serializers.Serializer):
    """One change of state."""

    at = serializers.DateTimeField()
    state = serializers.CharField()
    split = serializers.CharField(allow_blank=True)


class FileSerializer(serializers.Serializer):
    """One file of several."""

    name = serializers.CharField()
    sha256 = serializers.CharField()
    size = serializers.IntegerField()


class SubmissionSerializer(serializers.Serializer):
    """All that the asker may read of a submission. `problems` is there for the owner of a rejected one."""

    id = serializers.UUIDField()
    state = serializers.CharField(help_text="the combined line: submission and evaluations in one word")
    submission_state = serializers.CharField()
    model = serializers.CharField()
    release = serializers.CharField()
    kind = serializers.ChoiceField(choices=SubmissionKind.choices)
    sha256 = serializers.CharField(allow_blank=True, help_text="of several files: of the sorted lines 'name sha256'")
    files = FileSerializer(many=True, required=False, help_text="the owner's, where there are several")
    created_at = serializers.DateTimeField()
    facts = serializers.DictField()
    evaluations = EvaluationSerializer(many=True)
    reports = serializers.DictField(child=serializers.DictField(), help_text="report.json by split")
    events = EventSerializer(many=True)
    problems = ErrorSerializer(many=True, required=False)
    problem_counts = serializers.DictField(child=serializers.IntegerField(), required=False)


class NewSubmissionSerializer(serializers.Serializer):
    """What a submission states, as multipart/form-data."""

    release = serializers.SlugField(max_length=80)
    model = serializers.CharField(max_length=80, help_text="a slug; unknown = created, another author's = 403")
    kind = serializers.ChoiceField(choices=[SubmissionKind.CHECKPOINT.value, SubmissionKind.PREDICTIONS.value])
    split = serializers.CharField(required=False, default="", allow_blank=True, max_length=8)
    architecture = serializers.CharField(required=False, default="", allow_blank=True, max_length=120)
    file = serializers.ListField(child=serializers.FileField(allow_empty_file=True), allow_empty=False, max_length=200)
    base = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=120,
        help_text="the slug of the model, or the id of the submission, that it was fine-tuned from; for an adapter "
        "what it stands on: an accepted checkpoint's id, or the architecture's name for the registry's own weights",
    )  # fmt: skip
    target = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, default=list, max_length=50
    )
    sha256 = serializers.CharField(required=False, default="", allow_blank=True, max_length=64)
    publish = serializers.BooleanField(required=False, default=False)
    kept_private = serializers.BooleanField(
        required=False, default=False, help_text="only a base for other submissions: never published, never ranked"
    )


class CreatedSerializer(serializers.Serializer):
    """A submission, and where it stands after what was asked."""

    id = serializers.UUIDField()
    state = serializers.CharField()

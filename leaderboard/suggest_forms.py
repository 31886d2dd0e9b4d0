"""What people type and send to learn which images to label next. The rules stand in leaderboard.suggestions."""

from collections.abc import Mapping
from typing import Any

from django import forms

from evaluator.active_learning.names import Strategy
from evaluator.active_learning.suggesting.suggestion import Suggestion
from evaluator.suggest.labels import MAX_LABEL_CHARS
from evaluator.suggest.vectors import MAX_DIMENSIONS, MIB
from leaderboard.lineage.forms import RefusableForm
from leaderboard.numbers import count
from leaderboard.suggestions import LIMITS, MAX_COUNT, MAX_LABELS_FILE
from leaderboard.uploads import Received, received

STRATEGIES = [(Strategy.DROPQUERY.value, "DropQuery (recommended)")] + [
    (strategy.value, strategy.display_name) for strategy in Strategy if strategy is not Strategy.DROPQUERY
]


class WantedForm(RefusableForm):
    """How many images, chosen how."""

    count = forms.IntegerField(
        initial=20, min_value=1, max_value=MAX_COUNT, label="How many images", help_text=f"1 to {MAX_COUNT}.",
        error_messages={name: f"Ask for 1 to {MAX_COUNT} images." for name in ("min_value", "max_value", "invalid")},
        widget=forms.NumberInput({"inputmode": "numeric"}),
    )  # fmt: skip
    strategy = forms.ChoiceField(
        choices=STRATEGIES, initial=Strategy.DROPQUERY.value,
        help_text="Used once two classes have labels. Until then the most typical image of each group is shown.",
    )  # fmt: skip

    def wanted(self) -> dict[str, Any]:
        """Labels, count and strategy; call after `is_valid()`."""
        values = self.cleaned_data
        labels, strategy = _received(values["labels"]), Strategy(values["strategy"])
        return {"labels": labels, "count": values["count"], "strategy": strategy}


class AskForm(WantedForm):
    """The first round on someone's embeddings."""

    name = forms.CharField(
        required=False, max_length=120, label="Name (optional)",
        help_text="So that you find it again, such as the plate or the study. Otherwise the file's name.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )  # fmt: skip
    embeddings = forms.FileField(
        allow_empty_file=True, label="Embeddings",
        help_text="One row per image. An npz with the arrays <code>id</code> and <code>embedding</code>, or a Parquet "
        f"file with columns of these names. Up to {LIMITS.file_bytes // MIB} MiB, {count(LIMITS.rows)} images and "
        f"{count(MAX_DIMENSIONS)} numbers per image. The embeddings.npz that <code>answer</code> and "
        "<code>suggest</code> write can be sent as it is.",
        widget=forms.FileInput({"accept": ".npz,.parquet"}),
    )  # fmt: skip
    labels = forms.FileField(
        required=False, allow_empty_file=True, label="Labels so far (optional)",
        help_text="CSV with the header <code>id,label</code>, in UTF-8, "
        f"up to {MAX_LABELS_FILE // MIB} MiB. Without labels the first round starts from the images alone.",
        widget=forms.FileInput({"accept": ".csv,text/csv"}),
    )  # fmt: skip
    field_order = ("embeddings", "labels", "count", "strategy", "name")


class NextForm(WantedForm):
    """Labels of the images of one round, written beside them or sent as CSV, and what is wanted next. `written`: id →
    label, where the round after was asked for before and refused."""

    labels = forms.FileField(
        required=False, allow_empty_file=True, label="Or send labels.csv, filled in",
        help_text="Its labels are taken before those written above.",
        widget=forms.FileInput({"accept": ".csv,text/csv"}),
    )  # fmt: skip
    field_order = ("labels", "count", "strategy")

    def __init__(
        self, found: Suggestion, data: Any = None, files: Any = None, *, written: Mapping[str, str], **kwargs: Any
    ) -> None:
        super().__init__(data, files, **kwargs)
        self.found = found
        for order, pick in enumerate(found.picks, 1):
            self.fields[_field(order)] = forms.CharField(
                required=False, max_length=MAX_LABEL_CHARS, label=f"Label of {pick.id}", initial=written.get(pick.id),
                widget=forms.TextInput({"list": "classes", "autocomplete": "off", "spellcheck": "false"}),
            )  # fmt: skip

    @property
    def asked(self) -> list[forms.BoundField]:
        """The fields beside those of single images."""
        return [self[name] for name in self.field_order]

    def label_field(self, order: int) -> forms.BoundField:
        """The field of one image, by its place in the list."""
        return self[_field(order)]

    def typed(self) -> dict[str, str]:
        """id → label as written beside the images; call after `is_valid()`."""
        written = ((pick.id, self.cleaned_data[_field(order)]) for order, pick in enumerate(self.found.picks, 1))
        return {name: label for name, label in written if label}


def _field(order: int) -> str:
    return f"label-{order}"


def _received(upload: Any) -> Received | None:
    return received(upload) if upload else None


def embeddings_of(form: AskForm) -> Received:
    """The file of embeddings; call after `is_valid()`."""
    return received(form.cleaned_data["embeddings"])

"""What people type into pages. In: POST data; out: cleaned values. The rules stand in leaderboard.intake."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.urls import reverse

from evaluator.architectures.architecture import Architecture
from evaluator.errors import InputError
from evaluator.release.schema import Split
from evaluator.weights.adapter import is_adapter
from leaderboard import architectures, bases, permissions
from leaderboard.intake import NewSubmission
from leaderboard.lineage.forms import TargetForm
from leaderboard.models import Model, Release, Submission, User
from leaderboard.models.submissions import SubmissionKind
from leaderboard.numbers import large
from leaderboard.uploads import received

TOKEN_LIVES = {"30": "30 days", "90": "90 days", "365": "1 year"}


class SeveralFilesInput(forms.FileInput):
    """A file input that takes more than one."""

    allow_multiple_selected = True


class SeveralFilesField(forms.FileField):
    """One file or more; cleans to a list."""

    widget = SeveralFilesInput

    def clean(self, data: Any, initial: Any = None) -> Any:
        return [super(SeveralFilesField, self).clean(each, initial) for each in data or [None]]


class SubmitForm(TargetForm):
    """What every submission states."""

    kind: SubmissionKind
    release = forms.ModelChoiceField(
        Release.objects.none(),
        to_field_name="slug",
        empty_label=None,
        help_text="The benchmark release to be scored on.",
    )
    model = forms.CharField(
        max_length=80,
        help_text="A short name in lower-case letters, digits, - or _, such as my-clip-b16. A new name makes a new "
        "model; one of yours gets another submission.",
    )
    base = forms.CharField(
        required=False, max_length=120, label="Fine-tuned from (optional)",
        help_text="The short name of a model here, or the id of a submission. With it you see what tuning gained and "
        "forgot, and can sweep the merge of the two. It can be named later, but then it is marked so.",
        widget=forms.TextInput({"list": "bases", "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    publish = forms.BooleanField(required=False, label="Publish the reports as soon as they are scored")

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        releases = cast(forms.ModelChoiceField, self.fields["release"])
        releases.queryset = permissions.visible_to(user, Release.objects.all())
        self.offer_targets(releases.queryset)
        self.fields["model"].widget.attrs.update(list="own-models", autocomplete="off", spellcheck="false")

    def asked(self) -> NewSubmission:
        """What was asked for; call after `is_valid()`."""
        values = self.cleaned_data
        return NewSubmission(
            release=values["release"], model=values["model"], kind=self.kind, publish=values["publish"],
            files=tuple(received(upload) for upload in self._uploads()), split=values.get("split", ""),
            architecture=values.get("architecture", ""), base=values["base"].strip(), target=tuple(values["target"]),
            kept_private=values.get("kept_private", False),
        )  # fmt: skip

    def _uploads(self) -> list[UploadedFile]:
        uploads = self.cleaned_data["file"]
        return uploads if isinstance(uploads, list) else [uploads]


class CheckpointForm(SubmitForm):
    """Weights, answered here on every split."""

    kind = SubmissionKind.CHECKPOINT
    architecture = forms.ChoiceField(
        help_text="The network that the weights are for. Two architectures can have the same tensors and another "
        "activation: the file fits both, and the scores differ."
    )
    kept_private = forms.BooleanField(
        required=False, label="Only a base: keep it private, never ranked",
        help_text="For a checkpoint that you tuned others from. No one but you and the organisers sees it; it serves "
        "the comparison and merging of what was tuned from it.",
    )  # fmt: skip
    adapter_base = forms.CharField(
        required=False, max_length=120, label="Base of the adapter",
        help_text="The id of an accepted checkpoint of the same architecture (the last part of its page's address), or "
        "the architecture's name for weights that the registry has. Readers will see its SHA-256 and its model's name.",
        widget=forms.TextInput({"list": "adapter-bases", "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    file = SeveralFilesField(
        label="Weights", allow_empty_file=True,
        help_text="One .safetensors file, all shards together with their model.safetensors.index.json, or a LoRA "
        "adapter: adapter_model.safetensors and adapter_config.json. "
        "Convert other formats on your own machine: python -m evaluator convert CKPT.pt --out FILE.safetensors",
    )  # fmt: skip
    field_order = (
        "release", "model", "architecture", "file", "adapter_base", "base", "target", "publish", "kept_private",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(forms.ChoiceField, self.fields["architecture"])
        field.choices = [("", "Choose an architecture"), *_architecture_choices()]
        # What was chosen is explained beside the field; without JavaScript by the form's own "show" button.
        field.widget.attrs.update({
            "hx-get": reverse("architecture-chosen"), "hx-trigger": "change", "hx-target": "#chosen-architecture",
        })  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Each of the two bases belongs to one kind of file."""
        values = super().clean() or self.cleaned_data
        adapter = is_adapter(upload.name or "" for upload in values.get("file", ()) if upload)
        if values.get("adapter_base") and "file" in values and not adapter:
            self.add_error("adapter_base", "Only an adapter has one: add its two files, or leave this empty.")
        if values.get("base") and adapter:
            self.add_error("base", "An adapter is fine-tuned from the base that it stands on: leave this empty.")
        return values

    def asked(self) -> NewSubmission:
        asked = super().asked()
        return replace(asked, base=self.cleaned_data["adapter_base"].strip()) if asked.is_adapter else asked

    def refuse(self, error: InputError) -> None:
        if self.asked().is_adapter:
            moved = {bases.FIELD: "adapter_base"}
            problems = [replace(each, field=moved.get(each.field or "", each.field)) for each in error.problems]
            error = InputError(problems, error.counts)
        super().refuse(error)

    def chosen_architecture(self) -> Architecture | None:
        """The architecture that the field holds now, sent or prefilled; None when there is none of that name."""
        return architectures.registered_or_none(str(self["architecture"].value() or ""))


def _architecture_choices() -> list[Any]:
    """(name, facts) of every architecture, under headings where there are several families."""
    choices: dict[str, list[tuple[str, str]]] = {}
    for found in architectures.find():
        activation = str(found.activation or "").partition(" (text tower")[0]
        facts = [found.name, activation, f"{found.image_px} px", f"{large(found.parameters)} parameters"]
        choices.setdefault(str(found.family), []).append((found.name, " · ".join(filter(None, facts))))
    return list(choices.items()) if len(choices) > 1 else [pair for pairs in choices.values() for pair in pairs]


class PredictionsForm(SubmitForm):
    """A file of answers to the questions of one split."""

    kind = SubmissionKind.PREDICTIONS
    split = forms.ChoiceField(
        choices=[(Split.TEST.value, "test: hidden key"), (Split.DEV.value, "dev: public key, for trying out")],
        help_text="The split whose question pack you answered.",
    )
    file = forms.FileField(
        label="Prediction file",
        allow_empty_file=True,
        help_text="JSONL, CSV or Parquet (also .gz), with the columns dataset, image_id, question, option. "
        "Every question of the split needs an answer; null means abstained.",
    )
    field_order = ("release", "split", "model", "file", "base", "target", "publish")


SUBMIT_FORMS: dict[str, type[SubmitForm]] = {form.kind.value: form for form in (CheckpointForm, PredictionsForm)}


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(max_length=60, help_text="What it is for, such as cluster or laptop.")
    lives = forms.ChoiceField(choices=list(TOKEN_LIVES.items()), initial="90", label="Expires after")

    def lifetime(self) -> timedelta:
        """How long the token is to live."""
        return timedelta(days=int(self.cleaned_data["lives"]))


class SubmissionChoice(forms.ModelChoiceField):
    """A submission by its date and file."""

    def label_from_instance(self, obj: Submission) -> str:
        return f"{obj.created_at:%Y-%m-%d %H:%M}, {obj.file_name}"


class ModelForm(forms.ModelForm):
    """What an author says of a model."""

    paper = forms.URLField(required=False, assume_scheme="https")
    weights_link = forms.URLField(required=False, assume_scheme="https", label="Link to the weights")

    class Meta:
        model = Model
        fields = (
            "name", "authors", "organisation", "description", "paper", "licence", "training_data", "weights_link",
            "shown_submission",
        )  # fmt: skip
        field_classes = {"shown_submission": SubmissionChoice}
        labels = {"shown_submission": "Submission on the boards"}
        help_texts = {
            "description": "One line: what is it?",
            "training_data": "What it was trained on, so that readers can judge overlap with the benchmark.",
            "shown_submission": "Which published submission stands on the boards; empty means the latest.",
        }
        widgets = {
            "description": forms.TextInput(attrs={"maxlength": 300}),
            "training_data": forms.Textarea({"rows": 3}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        published = Submission.objects.filter(model=self.instance, entries__superseded_at=None).exclude(entries=None)
        field = cast(forms.ModelChoiceField, self.fields["shown_submission"])
        field.queryset = published.distinct()
        field.empty_label = "the latest"

"""What people type about bases, target domains and merges. In: POST data; out: cleaned values, no rule."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from django import forms

from evaluator.errors import InputError
from leaderboard.lineage import choices
from leaderboard.models import Release, Submission

ACCEPT = "accept"  # the button that takes a suggested base, in place of the field


class RefusableForm(forms.Form):
    """A form whose use case may refuse what it was given."""

    def refuse(self, error: InputError) -> None:
        """Show the problems of a refusal beside their fields."""
        for problem in error.problems:
            self.add_error(problem.field if problem.field in self.fields else None, problem.message)


class TargetForm(RefusableForm):
    """A form that also asks for a target domain: 'facet=value' for each box that is ticked."""

    target = forms.MultipleChoiceField(required=False, label="Target domain")

    def offer_targets(self, releases: Iterable[Release]) -> None:
        """Offer what occurs on these releases."""
        self.facet_choices = choices.facets_of(releases)
        field = cast(forms.MultipleChoiceField, self.fields["target"])
        values = [f"{facet.name}={value}" for facet in self.facet_choices for value in facet.values]
        field.choices = [(value, value) for value in values]
        field.error_messages["invalid_choice"] = "%(value)s is not there to choose from."

    @property
    def facets(self) -> list[dict[str, Any]]:
        """The boxes under their facets, as _target.html shows them."""
        ticked = set(self["target"].value() or ())
        return [
            {
                "name": facet.name, "title": facet.title,
                "options": [{"value": value, "items": n, "chosen": f"{facet.name}={value}" in ticked}
                            for value, n in facet.values.items()],
                "chosen": [value for value in facet.values if f"{facet.name}={value}" in ticked],
            }
            for facet in self.facet_choices
        ]  # fmt: skip


class BaseForm(TargetForm):
    """What a submission was tuned from, and for which images."""

    base = forms.CharField(
        max_length=120, label="Base",
        help_text="The short name of a model here, or the id of a submission (the last part of its page's address). "
        "Is it not here yet? Submit its checkpoint and tick “only a base”: it stays private.",
        widget=forms.TextInput({"list": "bases", "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    field_order = ("base", "target")

    def __init__(self, release: Release, data: Any = None, **kwargs: Any) -> None:
        if data and data.get(ACCEPT):
            data = data.copy()
            data["base"] = data[ACCEPT]
        super().__init__(data, **kwargs)
        self.offer_targets([release])


class DerivedForm(RefusableForm):
    """A merge to submit as a model of its own; `status` is what the page answers with."""

    refused_as = 400

    model = forms.CharField(
        max_length=80, label="Model", help_text="A short name for it, in lower-case letters, digits, - or _.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip

    @property
    def status(self) -> int:
        """HTTP status of the page that shows the form."""
        return self.refused_as if self.errors else 200


class MergeForm(DerivedForm):
    """A place between a base and what was tuned from it."""

    alpha = forms.ChoiceField(label="α, the share of the tuned model")
    field_order = ("alpha", "model")

    def __init__(self, alphas: Sequence[float], data: Any = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        field = cast(forms.ChoiceField, self.fields["alpha"])
        field.choices = [(f"{alpha:g}", f"{alpha:.2f}") for alpha in alphas]

    def chosen_alpha(self) -> float:
        """Call after `is_valid()`."""
        return float(self.cleaned_data["alpha"])


class SoupForm(DerivedForm):
    """Fine-tunes of one base to take the mean of. How many it takes is for leaderboard.lineage.derived to say."""

    parts = forms.MultipleChoiceField(
        required=False, label="Fine-tunes",
        error_messages={"invalid_choice": "%(value)s is none of your fine-tunes of this base."},
    )  # fmt: skip
    field_order = ("parts", "model")

    def __init__(self, fine_tunes: Sequence[Submission], data: Any = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.fine_tunes = fine_tunes
        field = cast(forms.MultipleChoiceField, self.fields["parts"])
        field.choices = [(str(each.pk), str(each.model)) for each in fine_tunes]

    @property
    def boxes(self) -> list[dict[str, Any]]:
        """Each fine-tune and whether it is ticked, as soup.html shows them."""
        ticked = set(self["parts"].value() or ())
        return [{"submission": each, "chosen": str(each.pk) in ticked} for each in self.fine_tunes]

    def chosen_parts(self) -> list[Submission]:
        """Call after `is_valid()`."""
        return [each for each in self.fine_tunes if str(each.pk) in self.cleaned_data["parts"]]

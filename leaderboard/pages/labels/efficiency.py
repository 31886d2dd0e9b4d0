"""How many labels an encoder needs, in words and tables. In: its documents; out: what pages show of them."""

from collections.abc import Sequence
from math import ceil
from typing import Any

from evaluator.analyses.labels.labels_to import Reached
from evaluator.release.schema import DatasetInfo
from evaluator.release.tasks import dataset_slug
from leaderboard.numbers import MISSING, count, listed, percent, points, points_interval
from leaderboard.pages.labels import small_curves
from leaderboard.pages.labels.small_curves import Json

ROUNDING = 1e-6  # documents hold six decimals


def shown(documents: Sequence[Json], datasets: dict[str, DatasetInfo]) -> dict[str, Any]:
    """One encoder on the datasets of a release, ranked ones first. `datasets`: the release's."""
    ordered = sorted(documents, key=lambda each: (not each["ranked"], title_of(each, datasets)))
    widest = sorted({budget["per_class"] for each in ordered for budget in each["budgets"]})
    drawn = [each for each in ordered if each["budgets"]]
    return {
        "sentences": sentences(drawn, datasets),
        "rows": [_row(each, datasets) for each in drawn],
        "curves": [{"title": title_of(each, datasets), "curve": small_curves.draw(each, widest),
                    "says": caption(each)} for each in drawn],
        "tables": [_table(each, datasets) for each in drawn],
        "unmeasured": [(title_of(each, datasets), each["reason"]) for each in ordered if not each["budgets"]],
        "any_unranked": any(not each["ranked"] for each in drawn), "any_cut": any(each["cut"] for each in drawn),
        "seeds": max((each["seeds"] for each in drawn), default=0),
        "pool": drawn[0]["pool"] if drawn else "", "split": drawn[0]["split"] if drawn else "",
    }  # fmt: skip


def title_of(document: Json, datasets: dict[str, DatasetInfo]) -> str:
    """The dataset's name on pages."""
    return datasets[document["dataset"]].title


def sentences(documents: Sequence[Json], datasets: dict[str, DatasetInfo]) -> list[str]:
    """What a microscopist wants to know first, over all datasets."""
    if not documents:
        return []
    if len(documents) == 1:
        return [zero_shot_words(documents[0]), eighty_words(documents[0]), choice_words(documents[0])]
    asked = [each for each in documents if state_of(each, "zero_shot") != Reached.NOT_APPLICABLE]
    passed = [each for each in asked if state_of(each, "zero_shot") != Reached.NOT_REACHED]
    found = [_passed_words(asked, passed, datasets)] if asked else []
    helped = sum(each["gain"]["log2"]["low"] > 0 for each in documents)
    harmed = sum(each["gain"]["log2"]["high"] < 0 for each in documents)
    harm = f", and significantly less on {harmed}" if harmed else ""
    found.append(f"Labelling the images that it would choose itself gives significantly more than common labels on "
                 f"{helped or 'none'} of {len(documents)} datasets{harm}.")  # fmt: skip
    return found


def _passed_words(asked: Sequence[Json], passed: Sequence[Json], datasets: dict[str, DatasetInfo]) -> str:
    head = "A linear head on this encoder passes its own zero-shot score"
    if not passed:
        return f"{head} on none of {len(asked)} datasets, with all the labels that were tried."
    needed = sorted(per_class(each, "zero_shot") for each in passed)
    span = _per_class_words(needed[0]) if needed[0] == needed[-1] else f"{needed[0]}–{needed[-1]} labels per class"
    rest = [title_of(each, datasets) for each in asked if each not in passed]
    if not rest:
        return f"{head} on all of {len(asked)} datasets, with {span}."
    return f"{head} on {len(passed)} of {len(asked)} datasets, with {span}; not on {listed(rest)}."


def zero_shot_words(document: Json) -> str:
    """'With 4 labels per class a linear head on this encoder passes its own zero-shot score (55.0 %).'"""
    state, zero_shot = state_of(document, "zero_shot"), document["zero_shot"]
    if state == Reached.NOT_APPLICABLE or zero_shot is None:
        return "It has no zero-shot score here to compare with."
    score = f"its own zero-shot score ({percent(zero_shot['balanced_accuracy']['estimate'])}\u00a0%)"
    if state == Reached.NOT_REACHED:
        return f"Up to {_per_class_words(last_budget(document))}, a linear head on this encoder stays below {score}."
    word = "Already with" if state == Reached.AT_ONCE else "With"
    return f"{word} {_per_class_words(per_class(document, 'zero_shot'))} a linear head on this encoder passes {score}."


def caption(document: Json) -> str:
    """The same in a few words, under a drawing."""
    state, zero_shot = state_of(document, "zero_shot"), document["zero_shot"]
    if state == Reached.NOT_APPLICABLE or zero_shot is None:
        return "No zero-shot score to compare with."
    score = f"its zero-shot score ({percent(zero_shot['balanced_accuracy']['estimate'])}\u00a0%)"
    if state == Reached.NOT_REACHED:
        return f"Below {score} with up to {_per_class_words(last_budget(document))}."
    return f"Passes {score} with {_per_class_words(per_class(document, 'zero_shot'))}."


def eighty_words(document: Json) -> str:
    """'It reaches 80 % balanced accuracy with 9 labels per class.'"""
    if state_of(document, "eighty_percent") == Reached.NOT_REACHED:
        return f"80\u00a0% balanced accuracy is not reached with {_per_class_words(last_budget(document))}."
    return f"It reaches 80\u00a0% balanced accuracy with {_per_class_words(per_class(document, 'eighty_percent'))}."


def choice_words(document: Json) -> str:
    """What labelling the images of its own choice gives, as strong as its interval."""
    gain = document["gain"]["log2"]
    interval = f"95\u00a0% interval {points_interval(gain['low'], gain['high'])}"
    if gain["low"] > 0 or gain["high"] < 0:
        word = "gives" if gain["low"] > 0 else "costs"
        amount = percent(abs(gain["estimate"]))
        return f"Labelling the images that it would choose itself {word} {amount} points: significant ({interval})."
    return (f"Labelling the images that it would choose itself makes no significant difference "
            f"({points(gain['estimate'])} points, {interval}).")  # fmt: skip


def state_of(document: Json, target: str) -> str:
    """Whether a target is reached: one of the four words of `labels_to`."""
    return str(document["labels_to"][target]["state"])


def per_class(document: Json, target: str) -> int:
    """The whole number of labels per class with which a target is reached."""
    return whole_per_class(document["labels_to"][target], document["n_classes"])


def whole_per_class(found: Json, n_classes: int) -> int:
    """Labels per class of one target of `labels_to`, up to the next whole number."""
    return ceil(found["labels"] / n_classes - ROUNDING)


def last_budget(document: Json) -> int:
    """The largest budget per class that was tried."""
    return int(document["budgets"][-1]["per_class"])


def needed(found: Json, most_labels: int | None) -> dict[str, Any]:
    """A cell 'labels needed' of one target of `labels_to`: {state, text, beside}; 'not reached' says with how many."""
    state = str(found["state"])
    if state == Reached.NOT_APPLICABLE:
        return {"state": state, "text": MISSING, "beside": "no zero-shot score"}
    if state == Reached.NOT_REACHED:
        return {"state": state, "text": "not reached", "beside": f"with {count(most_labels)}"}
    number = count(ceil(found["labels"] - ROUNDING))
    text = f"≤\u00a0{number}" if state == Reached.AT_ONCE else number
    return {"state": state, "text": text, "beside": _labels_interval(found, most_labels)}


def _labels_interval(found: Json, most_labels: int | None) -> str:
    """'9–22'; an end that no budget reached is named as more than the largest."""
    low, high = found["low"], found["high"]
    if low is None or low == high:
        return ""
    if high is None:
        return f"{count(round(low))} to more than {count(most_labels)}"
    return f"{count(round(low))}–{count(round(high))}"


def _row(document: Json, datasets: dict[str, DatasetInfo]) -> dict[str, Any]:
    """A dataset's row of the table that comes first."""
    most = document["budgets"][-1]["labels"]
    return {
        "slug": dataset_slug(document["dataset"]), "title": title_of(document, datasets), "ranked": document["ranked"],
        "reason": document["reason"], "aulc": document["aulc"]["log2"], "gain": document["gain"]["log2"],
        "zero_shot": None if document["zero_shot"] is None else document["zero_shot"]["balanced_accuracy"],
        "to_zero_shot": needed(document["labels_to"]["zero_shot"], most),
        "to_eighty": needed(document["labels_to"]["eighty_percent"], most),
        "ceiling": document["ceiling"]["balanced_accuracy"], "ceiling_labels": document["ceiling"]["labels"],
        "n_classes": document["n_classes"], "cut": document["cut"], "most": last_budget(document),
    }  # fmt: skip


def _table(document: Json, datasets: dict[str, DatasetInfo]) -> dict[str, Any]:
    """Every number of a drawing: without labels, at every budget, with all labels."""
    zero_shot, ceiling = document["zero_shot"], document["ceiling"]
    return {
        "title": title_of(document, datasets), "rows": document["budgets"], "n_classes": document["n_classes"],
        "zero_shot": None if zero_shot is None else zero_shot["balanced_accuracy"],
        "ceiling": ceiling["balanced_accuracy"], "ceiling_labels": ceiling["labels"],
    }  # fmt: skip


def _per_class_words(labels: int) -> str:
    return f"{count(labels)} label{'' if labels == 1 else 's'} per class"

"""Reasons in plain words. In: Suggestion; out: sentences for the sheet, the table and the page. Torch-free."""

from evaluator.active_learning.names import Strategy
from evaluator.active_learning.suggesting.suggestion import Basis, Pick, Suggestion

UNDECIDED = 0.2  # a lead of the first class over the second, in probability
TYPICAL, UNUSUAL = 0.75, 0.25  # of the share of a group's members that are less typical

PART = "when it sees a part of the features"
RULES = {
    Strategy.RANDOM: "a random draw",
    Strategy.UNCERTAINTY: "those whose likeliest class is least likely",
    Strategy.ENTROPY: "those whose class probabilities are most even",
    Strategy.MARGIN: "those with the smallest lead of the likeliest class over the second",
    Strategy.BALD: f"those on which the classifier contradicts itself most {PART}",
    Strategy.POWERBALD: f"those on which the classifier contradicts itself {PART}, with some chance",
    Strategy.CORESET: "those farthest from everything that is labelled",
    Strategy.BADGE: "uncertain ones that would teach the classifier different things",
    Strategy.ALFAMIX: "those whose class changes when mixed a little with labelled ones, unlike ones among them",
    Strategy.TYPICLUST: "typical ones of the groups with the fewest labels",
    Strategy.PROBCOVER: "those with the most unlabelled images nearby",
    Strategy.DROPQUERY: f"those on which the classifier contradicts itself {PART}, unlike ones among them",
}


def how_chosen(suggestion: Suggestion) -> str:
    """One sentence on how the images were chosen and in which order."""
    match suggestion.basis:
        case Basis.IMAGES if suggestion.strategy is Strategy.RANDOM:
            return "There are no labels yet and the strategy is Random: a random draw, the largest groups first."
        case Basis.IMAGES:
            return ("There are no labels yet: the images were divided into as many groups of similar ones as you asked "
                    "for, and the most typical of each is shown, the largest groups first.")  # fmt: skip
        case Basis.ONE_CLASS:
            (only,) = suggestion.labelled
            return (f"All labels so far are “{only}”, and a classifier needs two classes: these are typical images of "
                    "groups that lie far from what is labelled, where other classes may be, the largest groups "
                    "first.")  # fmt: skip
        case Basis.CLASSES:
            order = "the most uncertain first" if suggestion.strategy in ORDERED_BY_DOUBT else "in the strategy's order"
            labels = counted(sum(suggestion.labelled.values()), "label")
            return (f"{suggestion.strategy.display_name}, asked with a classifier trained on your {labels}: "
                    f"{RULES[suggestion.strategy]}; {order}.")  # fmt: skip


ORDERED_BY_DOUBT = (
    Strategy.DROPQUERY, Strategy.ALFAMIX, Strategy.UNCERTAINTY, Strategy.ENTROPY, Strategy.MARGIN, Strategy.BALD,
)  # fmt: skip


def reason(pick: Pick) -> str:
    """Why this image: how sure the classifier is of it, then what it stands for."""
    return "; ".join(part for part in (doubt(pick), place(pick)) if part)


def doubt(pick: Pick) -> str:
    """How sure the classifier is; nothing where there is none."""
    if pick.disagreement is None or pick.lead is None:
        return ""
    share, level = round(100 * pick.disagreement), pick.lead < UNDECIDED
    if share:
        return f"uncertain: another class in {share}% of passes{', two nearly level' if level else ''}"
    return "uncertain: two classes nearly level" if level else "the classifier is sure"


def place(pick: Pick) -> str:
    """What the image stands for among all images."""
    if pick.members == 1:
        return "unlike all others: a group of its own"
    kind = (
        "representative of"
        if pick.typicality >= TYPICAL
        else "at the edge of"
        if pick.typicality <= UNUSUAL
        else "from"
    )
    return f"{kind} {pick.members:,} similar images (group {pick.group})"


def counted(number: int, what: str) -> str:
    """`1 label`, `2 labels`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"

"""Names of strategies, starts and heads, and what belongs together. Torch-free."""

from enum import StrEnum


class Strategy(StrEnum):
    """How the next labels are chosen (Gupte et al., section 3; DropQuery is its own)."""

    RANDOM = "random"
    UNCERTAINTY = "uncertainty"
    ENTROPY = "entropy"
    MARGIN = "margin"
    BALD = "bald"
    POWERBALD = "powerbald"
    CORESET = "coreset"
    BADGE = "badge"
    ALFAMIX = "alfamix"
    TYPICLUST = "typiclust"
    PROBCOVER = "probcover"
    DROPQUERY = "dropquery"

    @property
    def display_name(self) -> str:
        """As its authors write it."""
        return _TITLES[self]


class Start(StrEnum):
    """How the first labels are chosen, before there is a head."""

    RANDOM = "random"
    CENTROID = "centroid"
    TYPICLUST = "typiclust"
    PROBCOVER = "probcover"


class HeadKind(StrEnum):
    """What is trained on the labels: the paper's head (2.1 of the method), or the standard one of the leaderboard."""

    PAPER = "paper"
    STANDARD = "standard"


_TITLES = {
    Strategy.RANDOM: "Random", Strategy.UNCERTAINTY: "Uncertainty", Strategy.ENTROPY: "Entropy",
    Strategy.MARGIN: "Margin", Strategy.BALD: "BALD", Strategy.POWERBALD: "PowerBALD", Strategy.CORESET: "Coreset",
    Strategy.BADGE: "BADGE", Strategy.ALFAMIX: "ALFA-Mix", Strategy.TYPICLUST: "TypiClust",
    Strategy.PROBCOVER: "ProbCover", Strategy.DROPQUERY: "DropQuery",
}  # fmt: skip

OWN_START = {
    Strategy.DROPQUERY: Start.CENTROID, Strategy.TYPICLUST: Start.TYPICLUST, Strategy.PROBCOVER: Start.PROBCOVER,
}  # fmt: skip


def own_start(strategy: Strategy) -> Start:
    """The start that its authors gave the strategy; random where they gave none."""
    return OWN_START.get(strategy, Start.RANDOM)

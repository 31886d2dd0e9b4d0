"""Which function a strategy's name means. In: Strategy, State; out: ids."""

from torch import Tensor

from evaluator.active_learning.names import Strategy
from evaluator.active_learning.state import Query, State, keep_promise
from evaluator.active_learning.strategies.alfamix import alfamix
from evaluator.active_learning.strategies.bayesian import bald, powerbald
from evaluator.active_learning.strategies.covering import probcover
from evaluator.active_learning.strategies.diverse import badge, coreset
from evaluator.active_learning.strategies.dropquery import dropquery
from evaluator.active_learning.strategies.typical import typiclust
from evaluator.active_learning.strategies.uncertain import entropy, margin, random, uncertainty

QUERIES: dict[Strategy, Query] = {
    Strategy.RANDOM: random, Strategy.UNCERTAINTY: uncertainty, Strategy.ENTROPY: entropy, Strategy.MARGIN: margin,
    Strategy.BALD: bald, Strategy.POWERBALD: powerbald, Strategy.CORESET: coreset, Strategy.BADGE: badge,
    Strategy.ALFAMIX: alfamix, Strategy.TYPICLUST: typiclust, Strategy.PROBCOVER: probcover,
    Strategy.DROPQUERY: dropquery,
}  # fmt: skip


def query_of(strategy: Strategy) -> Query:
    """The strategy's own rule, unchecked; `ask` is what to call."""
    return QUERIES[strategy]


def ask(strategy: Strategy, state: State) -> Tensor:
    """(count,) new distinct ids; raises as `keep_promise` does."""
    return keep_promise(query_of(strategy), state)

"""Active learning: whole runs, all strategies, one round at µ-Bench's size. `python -m tests.bench active_learning`.

Run: DropQuery from its centroid start, 8 rounds of 20 labels, 4,000 × 512 embeddings of 20 classes, one thread, beside
a plain loop in the style of the published code: a torch module per round trained epoch by epoch, masks and scores
per batch, k-means by scikit-learn's own seeding. The published code itself needs about 13 s of such a thread.

All twelve strategies from their own starts, five seeds each, one thread: for products as small as these, two
threads that sleep where they wait take longer than one.

P18: one DropQuery round on 17,315 × 512 with 160 labels held: train, three passes, k-means, select; beside the same
loop with k-means by differences of all points with all centroids, as many steps as ours takes.

Beside the figures: the area under the curve of each strategy next to the published one, where UBENCH_EXTRA_DATA names
a folder with al_synth20.npz; else on a pool by the same recipe, without the published one.
"""

import copy
import os
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional

from evaluator.active_learning.experiments.metrics import accuracy, aulc_linear
from evaluator.active_learning.experiments.runs import run
from evaluator.active_learning.fits import fit_of
from evaluator.active_learning.generators import generator_of
from evaluator.active_learning.names import HeadKind, Strategy, own_start
from evaluator.active_learning.pool import Pool
from evaluator.active_learning.state import State
from evaluator.active_learning.strategies.table import ask
from evaluator.active_learning.tasks import Data, StrategyResult, StrategyTask
from tests.bench.table import compare, report_limit, seconds
from tests.builders.mixtures import mixture

ROUNDS, PER_ROUND, SEEDS = 8, 20, (1, 10, 100, 1_000, 10_000)
HELD = PER_ROUND * np.arange(1, ROUNDS + 1)
LARGE, LARGE_HELD, LLOYD_STEPS = 17_315, 160, 28  # steps: as many as ours takes
RUN_GOAL_S, ALL_GOAL_S, ROUND_GOAL_S = 1.5, 60.0, 2.0
TOLERANCE = 0.03  # of the areas of ours and the loop, which draw other numbers
# By the authors' code on al_synth20.npz: mean and standard deviation over the five seeds.
PUBLISHED = {
    Strategy.RANDOM: (0.7771, 0.0252), Strategy.UNCERTAINTY: (0.7967, 0.0079), Strategy.ENTROPY: (0.7749, 0.0194),
    Strategy.MARGIN: (0.8160, 0.0076), Strategy.BALD: (0.8206, 0.0133), Strategy.POWERBALD: (0.8089, 0.0180),
    Strategy.CORESET: (0.8337, 0.0092), Strategy.BADGE: (0.8207, 0.0113), Strategy.ALFAMIX: (0.8528, 0.0040),
    Strategy.TYPICLUST: (0.8945, 0.0055), Strategy.PROBCOVER: (0.8303, 0.0015), Strategy.DROPQUERY: (0.9080, 0.0020),
}  # fmt: skip


def main() -> None:
    threads = torch.get_num_threads()
    data, right, is_published = load()
    torch.set_num_threads(1)
    check(data, right)
    best = min(seconds(lambda: run(a_task(data, Strategy.DROPQUERY, SEEDS[:1])))[0] for _ in range(5))
    looped = min(seconds(lambda: loop(data, SEEDS[0]))[0] for _ in range(3))
    report_limit("AL1", f"DropQuery, {ROUNDS} rounds, {len(data.pool):,} x {data.pool.shape[1]}, one thread", best,
                 RUN_GOAL_S, "s", f"{looped:.3g} s ({looped / best:.1f} x)")  # fmt: skip
    everything(data, right, is_published)
    torch.set_num_threads(threads)
    large_round(threads)


def load() -> tuple[Data, np.ndarray, bool]:
    """The pool, the right classes of the evaluated images, and whether published areas belong to it."""
    found = [*Path(os.environ.get("UBENCH_EXTRA_DATA") or "/nonexistent").rglob("al_synth20.npz")]
    arrays = dict(np.load(found[0])) if found else vars(mixture())
    data = Data(pool=arrays["train_x"], labels=arrays["train_y"], evaluated=arrays["test_x"], n_classes=20)
    return data, arrays["test_y"], bool(found)


def a_task(data: Data, strategy: Strategy, seeds: tuple[int, ...]) -> StrategyTask:
    return StrategyTask(data=data, strategy=strategy, start=own_start(strategy), head=HeadKind.PAPER, rounds=ROUNDS,
                        per_round=PER_ROUND, seeds=seeds)  # fmt: skip


def area_of(result: StrategyResult, right: np.ndarray) -> np.ndarray:
    return aulc_linear(HELD, accuracy(right, result.probabilities.argmax(axis=-1)))


def check(data: Data, right: np.ndarray) -> None:
    """Both give 160 distinct ids and curves of about the same area; ours the same ids twice."""
    first, second = (run(a_task(data, Strategy.DROPQUERY, SEEDS[:1])) for _ in range(2))
    ids, chosen = loop(data, SEEDS[0])
    ours, theirs = area_of(first, right)[0], aulc_linear(HELD, accuracy(right, chosen))
    same = np.array_equal(first.ids, second.ids)
    if not same or len(set(first.ids.ravel())) != len(set(ids)) or abs(ours - theirs) > TOLERANCE:
        raise AssertionError(f"areas {ours:.4f} and {theirs:.4f}, the same ids twice: {same}, {len(set(ids))} ids")
    print(f"  area under the curve {ours:.4f}, of the loop {theirs:.4f}; the same ids twice")


def everything(data: Data, right: np.ndarray, is_published: bool) -> None:
    """All strategies, five seeds."""
    total = 0.0
    for strategy in Strategy:
        began = time.perf_counter()
        areas = area_of(run(a_task(data, strategy, SEEDS)), right)
        total += (spent := time.perf_counter() - began)
        beside = ""
        if is_published:
            mean, deviation = PUBLISHED[strategy]
            tolerance = max(0.01, 2 * ((areas.var(ddof=1) + deviation**2) / len(SEEDS)) ** 0.5)
            verdict = "reached" if areas.mean() >= mean - tolerance else "MISSED"
            beside = f"   published {mean:.4f} ± {deviation:.4f}, tolerance {tolerance:.4f}: {verdict}"
        print(f"  {strategy.display_name:<12} {areas.mean():.4f} ± {areas.std(ddof=1):.4f}  {spent:5.2f} s{beside}")
    report_limit(
        "AL2", f"{len(Strategy)} strategies x {len(SEEDS)} seeds x {ROUNDS} rounds, one thread", total, ALL_GOAL_S, "s"
    )


def large_round(threads: int) -> None:
    """P18."""
    made = mixture(n_pool=LARGE, n_test=20)
    pool, labels = Pool(features=torch.from_numpy(made.train_x), n_classes=20), torch.from_numpy(made.train_y)
    held = torch.randperm(LARGE, generator=generator_of(0, "held"))[:LARGE_HELD]
    fit = fit_of(HeadKind.PAPER, pool, labels, SEEDS[:1])

    def ours() -> Tensor:
        head, = fit(held[None], 7)  # fmt: skip
        return ask(Strategy.DROPQUERY, State(pool=pool, labelled=held, labels=labels[held], head=head, count=PER_ROUND,
                                             generator=generator_of(SEEDS[0], "choice")))  # fmt: skip

    def looped() -> Tensor:
        model = train(pool.features[held], labels[held])
        return query(model, pool.features, held.tolist(), broadcast_kmeans)

    for chosen in (ours(), looped()):
        assert len(set(chosen.tolist()) - set(held.tolist())) == PER_ROUND
    found = compare(ours, looped, 3)
    loop_s = float(np.median(found.loop))
    report_limit("P18", f"DropQuery round, {LARGE:,} x {made.train_x.shape[1]}, {threads} threads",
                 float(np.median(found.ours)), ROUND_GOAL_S, "s", f"{loop_s:.3g} s ({found.ratio:.1f} x)")  # fmt: skip


def loop(data: Data, seed: int) -> tuple[list[int], np.ndarray]:
    """ids in the order of choice and the classes (R, m) said after each round, one epoch and one batch at a time."""
    torch.manual_seed(seed)
    features, labels, evaluated = map(torch.from_numpy, (data.pool, data.labels, data.evaluated))
    held = sklearn_kmeans(functional.normalize(features), PER_ROUND).tolist()
    said = []
    for number in range(ROUNDS):
        model = train(features[held], labels[held])
        said.append(predict(model, evaluated).argmax(dim=1).numpy())
        if number + 1 < ROUNDS:
            held += query(model, features, held, sklearn_kmeans).tolist()
    return held, np.stack(said)


def train(features: Tensor, labels: Tensor) -> nn.Sequential:
    model = nn.Sequential(nn.Dropout(0.75), nn.BatchNorm1d(features.shape[1], affine=False),
                          nn.Linear(features.shape[1], 20))  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-2)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(features, labels), 4_096, shuffle=True)
    lowest, reference, waited, kept = torch.inf, torch.inf, 0, {}
    for _ in range(400):
        model.train()
        losses = []
        for x, y in loader:
            optimiser.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        mean = float(np.mean(losses))
        if mean < lowest:
            lowest, kept = mean, copy.deepcopy(model.state_dict())
        waited = 0 if mean < reference - 1e-3 else waited + 1
        reference = mean if waited == 0 else reference
        if waited == 20:
            break
    model.load_state_dict(kept)
    return model.eval()


def predict(model: nn.Module, features: Tensor, batch: int = 4_096) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(part).softmax(dim=1) for part in features.split(batch)])


def query(model: nn.Sequential, features: Tensor, held: list[int], kmeans: object) -> Tensor:
    """DropQuery: at least 2 of 3 passes differ, at least 1 where those are fewer than 25 per label wanted."""
    unlabelled = torch.tensor(sorted(set(range(len(features))) - set(held)))
    x = features[unlabelled]
    said = predict(model, x).argmax(dim=1)
    model[0].train()
    differing = sum((predict(model, x).argmax(dim=1) != said).long() for _ in range(3))
    model[0].eval()
    least = 2 if (differing >= 2).sum() >= 25 * PER_ROUND else 1
    candidates = unlabelled[differing >= least]
    if len(candidates) < PER_ROUND:
        rest = unlabelled[~torch.isin(unlabelled, candidates)]
        return torch.cat([candidates, rest[torch.randperm(len(rest))[: PER_ROUND - len(candidates)]]])
    with torch.no_grad():
        z = functional.normalize(model[1](features[candidates]))
    return candidates[kmeans(z, PER_ROUND)]  # type: ignore[operator]


def sklearn_kmeans(points: Tensor, k: int) -> Tensor:
    """(k,) the member nearest to each centroid."""
    model = KMeans(k, n_init=1, max_iter=100, random_state=0).fit(points.numpy())
    distances = torch.from_numpy(model.transform(points.numpy()))
    distances[torch.from_numpy(model.labels_)[:, None] != torch.arange(k)] = torch.inf
    return distances.argmin(dim=0)


def broadcast_kmeans(points: Tensor, k: int) -> Tensor:
    """The same from random points, by a set number of Lloyd steps on differences of all points with all centroids."""
    centroids = points[torch.randperm(len(points))[:k]]
    for _ in range(LLOYD_STEPS):
        distances = torch.cat([((part[:, None] - centroids) ** 2).sum(dim=2) for part in points.split(512)])
        own = distances.argmin(dim=1)
        centroids = torch.stack([points[own == cluster].mean(dim=0) if (own == cluster).any() else centroids[cluster]
                                 for cluster in range(k)])  # fmt: skip
    distances[own[:, None] != torch.arange(k)] = torch.inf
    return distances.argmin(dim=0)


if __name__ == "__main__":
    main()

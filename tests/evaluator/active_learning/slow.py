"""The starts and strategies by their definition: plain loops over float64 numbers. Chance comes as drawn numbers."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def squared(a: NDArray, b: NDArray) -> float:
    return float(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))


def unit(points: NDArray) -> Points:
    return np.array([row / np.linalg.norm(row) for row in points.astype(np.float64)])


def best(scores: Sequence[float], count: int) -> list[int]:
    """Places of the highest scores, highest first."""
    return sorted(range(len(scores)), key=lambda place: -scores[place])[:count]


def spread(n: int, count: int, distance: Callable[[int, int], float], draws: Sequence[float]) -> list[int]:
    """k-means++: the first uniform, the next ∝ squared distance to the nearest taken; uniform where all are 0."""
    taken = [int(draws[0] * n)]
    for draw in draws[1:count]:
        weights = [0 if i in taken else min(distance(i, j) for j in taken) for i in range(n)]
        if sum(weights) == 0:
            weights = [0 if i in taken else 1 for i in range(n)]
        goal, total = draw * sum(weights), 0.0
        for i in range(n):
            total += weights[i]
            if total > goal:
                taken.append(i)
                break
    return taken


def lloyd(points: Points, seeds: Sequence[int]) -> tuple[list[int], Points]:
    """Assign to the nearest centre, move centres to the means, until nothing changes."""
    centres, groups = points[list(seeds)].copy(), None
    while True:
        following = [min(range(len(centres)), key=lambda c, p=point: squared(p, centres[c])) for point in points]
        if following == groups:
            return groups, centres
        groups = following
        for c in range(len(centres)):
            centres[c] = np.mean([p for p, own in zip(points, groups, strict=True) if own == c], axis=0)


def entropy(p: Sequence[float]) -> float:
    return -sum(x * math.log(x) for x in p if x > 0)


def information(passes: NDArray) -> list[float]:
    """BALD's score from (passes, n, C)."""
    found = []
    for i in range(passes.shape[1]):
        mean = [float(np.mean(passes[:, i, c].astype(np.float64))) for c in range(passes.shape[2])]
        found.append(entropy(mean) - sum(entropy(p.astype(np.float64)) for p in passes[:, i]) / len(passes))
    return found


def coreset(z: Points, labelled: Sequence[int], count: int) -> list[int]:
    held = list(labelled)
    for _ in range(count):
        rest = [i for i in range(len(z)) if i not in held]
        held.append(max(rest, key=lambda i: min(squared(z[i], z[j]) for j in held)))
    return held[len(labelled) :]


def alfamix_candidates(z: Points, p: Points, weight: Points, bias: Points, anchors: Points) -> list[int]:
    """Places whose class flips for any anchor, with the mixing weights per coordinate as published."""
    found = []
    for i, point in enumerate(z):
        own = int(np.argmax(p[i]))
        error = p[i].copy()
        error[own] -= 1
        gradient = error @ weight
        for anchor in anchors:
            away = anchor - point
            alpha = 0.2 / math.sqrt(len(point)) * np.linalg.norm(away) * gradient / (np.linalg.norm(gradient) * away)
            mixed = alpha * anchor + (1 - alpha) * point
            if int(np.argmax(weight @ mixed + bias)) != own:
                found.append(i)
                break
    return found


def typiclust(points: Points, clusters: Sequence[int], labelled: Sequence[int], count: int) -> list[int]:
    """The walk one step at a time."""
    taken: list[int] = []
    names = sorted(set(clusters))
    members = {c: [i for i in range(len(points)) if clusters[i] == c] for c in names}
    walk = sorted(names, key=lambda c: (sum(i in labelled for i in members[c]), -len(members[c])))

    def left(c: int) -> list[int]:
        return [i for i in members[c] if i not in labelled and i not in taken]

    for least in (5, 0):
        step, idle = 0, 0
        large = [c for c in walk if len(members[c]) > least]
        while large and len(taken) < count and idle < len(large):
            rest = left(large[step % len(large)])
            step += 1
            if len(rest) <= least:
                idle += 1
                continue
            idle = 0
            near = max(1, min(20, len(rest) // 2))
            taken.append(
                min(rest, key=lambda i: sum(sorted(squared(points[i], points[j]) for j in rest)[:near]) / near)
            )
    return taken


def probcover(points: Points, clusters: Sequence[int], labelled: Sequence[int], count: int) -> list[int]:
    """Ids until everything is covered, so perhaps fewer than `count`."""
    n = len(points)
    distance = [[math.sqrt(squared(points[i], points[j])) for j in range(n)] for i in range(n)]
    low, high, radius = 0.0, 1.0, 0.5
    pure_enough = []
    for _ in range(6):
        pure = sum(all(clusters[i] == clusters[j] for j in range(n) if distance[i][j] <= radius) for i in range(n)) / n
        if pure >= 0.95:
            low = radius
            pure_enough.append(radius)
        else:
            high = radius
        radius = (low + high) / 2
    radius = max(pure_enough, default=high)
    covered = {j for i in labelled for j in range(n) if distance[i][j] <= radius}
    taken: list[int] = []
    while len(taken) < count and len(covered) < n:
        best_one = max(range(n), key=lambda i: sum(distance[i][j] <= radius for j in range(n) if j not in covered))
        taken.append(best_one)
        covered |= {j for j in range(n) if distance[best_one][j] <= radius}
    return taken


def propagated(points: Points, n_classes: int, given: dict[int, int], neighbours: int, iterations: int) -> Points:
    """(n, C) F after so many steps, the given ones reset."""
    n = len(points)
    cosine = points @ points.T
    near = [sorted((j for j in range(n) if j != i), key=lambda j: -cosine[i, j])[:neighbours] for i in range(n)]
    weights = np.zeros((n, n))
    for i in range(n):
        for j in near[i]:
            weights[i, j] += (1 + cosine[i, j]) / 2
            weights[j, i] += (1 + cosine[i, j]) / 2
    degree = [sum(w != 0 for w in row) for row in weights]
    y = np.zeros((n, n_classes))
    for i, label in given.items():
        y[i, label] = 1
    f = y
    for _ in range(iterations):
        following = np.zeros_like(f)
        for i in range(n):
            for j in range(n):
                following[i] += 0.1 * weights[i, j] / math.sqrt(degree[i] * degree[j]) * f[j]
            following[i] += 0.9 * y[i]
        f = following
    for i in given:
        f[i] = y[i]
    return f

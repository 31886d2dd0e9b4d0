"""A suggestion from files of a stranger. In: their bytes; out: JSON. Runs in the sandboxed child; torch comes late."""

from collections.abc import Mapping
from typing import Any

from evaluator.active_learning.names import Strategy
from evaluator.errors import InputError
from evaluator.suggest.labels import Labels, parse_labels
from evaluator.suggest.vectors import VectorLimits, read_vectors

MAX_LABEL_BYTES = 8 * 1024**2  # ids and classes together


def suggest_from_files(
    embeddings: bytes, labels: bytes | None, earlier: Mapping[str, str], limits: VectorLimits, *, count: int,
    strategy: Strategy, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """`suggestion` and all `labels` that it stands on: the earlier ones, and those of the CSV in their place.

    Raises InputError as `read_vectors`, `parse_labels` and `suggest`.
    """
    vectors = read_vectors(embeddings, limits)
    ids = set(vectors.ids)
    given = parse_labels(labels, ids) if labels else Labels()
    together = {name: label for name, label in earlier.items() if name in ids} | given
    if sum(len(name.encode()) + len(label.encode()) for name, label in together.items()) > MAX_LABEL_BYTES:
        message = f"The labels have more than {MAX_LABEL_BYTES // 1024**2} MiB together."
        raise InputError.single("labels_too_large", message, field="labels")
    from evaluator.active_learning.suggesting.suggest import suggest

    found = suggest(vectors.features, vectors.ids, together, count=count, strategy=strategy, seed=seed)
    return {"suggestion": found.as_dict(), "labels": together}

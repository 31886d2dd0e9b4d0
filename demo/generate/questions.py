"""Questions and captions about a drawn image. In: its dataset and facts; out: the two columns of the Hub's row.

The options of a coarse question are drawn from closed lists, so most distractors are values that occur elsewhere in
the benchmark; those of the fine question are classes of the same dataset.
"""

import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from demo.generate.catalogue import BY_NAME, DATASETS, Dataset
from demo.generate.drawing import Drawing
from demo.generate.plan import ImagePlan

COARSE_KINDS = ("modality", "submodality", "domain", "subdomain", "stain")
CLASSIFICATION = "classification"
KINDS = (*COARSE_KINDS, CLASSIFICATION)
NONE_OF_THE_ABOVE = "none of the above"
NONE_CAPTION = "A micrograph showing none of the above."
MAX_VALUES = 5  # options before "none of the above"
NAMESPACE = uuid.UUID("7d3b8a52-3f64-4a06-9f0c-5a2f1d6f5e11")

COARSE_QUESTIONS = {
    "modality": "Which microscopy modality was used to acquire this image?",
    "submodality": "Which microscopy submodality was used to acquire this image?",
    "domain": "Which scientific domain does this micrograph belong to?",
    "subdomain": "Which subdomain does this micrograph belong to?",
    "stain": "Which stain or dye was applied to the specimen in this micrograph?",
}
COARSE_CAPTIONS = {
    "modality": ("A {} image.", "A microscopy image acquired by {}."),
    "submodality": ("A {} image.", "A micrograph acquired with {}."),
    "domain": ("A micrograph from {}.", "A microscopy image belonging to the domain of {}."),
    "subdomain": ("A micrograph from {}.", "A microscopy image used in {}."),
    "stain": ("A micrograph stained with {}.", "A microscopy image of a specimen prepared with {}."),
}
_NEVER_RIGHT = {
    "modality": (),
    "submodality": ("darkfield microscopy", "cryo-electron tomography"),
    "domain": ("dermatology", "ophthalmology", "radiology"),
    "subdomain": ("parasitology", "botany"),
    "stain": ("Papanicolaou", "Congo red"),
}


def _values(kind: str) -> tuple[str, ...]:
    """The closed list of a coarse kind: what its datasets say, and a few that are never right."""
    stated = {getattr(dataset, kind) for dataset in DATASETS} - {None}
    return (*sorted(stated), *_NEVER_RIGHT[kind])


COARSE_VALUES: Mapping[str, tuple[str, ...]] = {kind: _values(kind) for kind in COARSE_KINDS}


def ask(
    dataset: Dataset, image_id: str, facts: Mapping[str, str | None], rng: np.random.Generator
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `questions` and `captions` columns of one image; a kind whose fact is None is asked nowhere (null).

    facts: the five coarse values and the label under `classification`.
    """
    questions: dict[str, Any] = {}
    captions: dict[str, Any] = {}
    for kind in KINDS:
        answer = facts[kind]
        if answer is None:
            questions[kind] = captions[f"{kind}_0"] = captions[f"{kind}_1"] = None
            continue
        values = _draw_options(list(known_values(dataset, kind)), answer, rng)
        text = dataset.question if kind == CLASSIFICATION else COARSE_QUESTIONS[kind]
        place = values.index(answer)
        questions[kind] = {
            "id": str(uuid.uuid5(NAMESPACE, f"{dataset.name}/{image_id}/{kind}")), "name": kind, "question": text,
            "options": [*values, NONE_OF_THE_ABOVE], "answer": answer, "answer_idx": place,
        }  # fmt: skip
        for variant in (0, 1):
            sentences = [*(sentence(dataset, kind, value, variant) for value in values), NONE_CAPTION]
            captions[f"{kind}_{variant}"] = {
                "question": text, "options": sentences, "answer": sentences[place], "answer_idx": place,
            }  # fmt: skip
    return questions, captions


def state_facts(plan: ImagePlan, drawing: Drawing) -> dict[str, str | None]:
    """The right answer to each kind of question; None where it is not asked."""
    dataset = BY_NAME[plan.dataset]
    facts = {kind: getattr(dataset, kind) for kind in COARSE_KINDS} | {CLASSIFICATION: plan.label}
    return facts | ({"submodality": drawing.submodality} if drawing.submodality else {})


def known_values(dataset: Dataset, kind: str) -> tuple[str, ...]:
    """Everything a question of this kind about this dataset may offer, without "none of the above"."""
    return tuple(dataset.classes) if kind == CLASSIFICATION else COARSE_VALUES[kind]


def sentence(dataset: Dataset, kind: str, value: str, variant: int) -> str:
    """The caption form of an option."""
    if kind == CLASSIFICATION:
        return dataset.captions[variant].format(dataset.classes[value])
    return COARSE_CAPTIONS[kind][variant].format(value)


def _draw_options(values: list[str], answer: str, rng: np.random.Generator) -> list[str]:
    """The answer and up to four distractors in a random order."""
    others = [value for value in values if value != answer]
    drawn = rng.choice(len(others), min(len(others), MAX_VALUES - 1), replace=False)
    offered = [answer, *(others[i] for i in drawn)]
    return [offered[i] for i in rng.permutation(len(offered))]

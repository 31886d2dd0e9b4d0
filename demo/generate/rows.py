"""Draws planned images and states everything about each. In: a plan; out: one row of the Hub's schema."""

import io
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from PIL import Image

from demo.generate.catalogue import BY_NAME
from demo.generate.cognition import ask_experts
from demo.generate.hub import LABELS
from demo.generate.plan import OPTIONS, ImagePlan, draw
from demo.generate.questions import COARSE_KINDS, ask, state_facts

CHUNK = 25


def make_rows(plans: list[ImagePlan], processes: int = 1) -> Iterator[dict[str, Any]]:
    """The rows of `plans`, in order; the same whatever the number of processes."""
    if processes == 1:
        yield from map(make_row, plans)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(make_row, plans, chunksize=CHUNK)


def make_row(plan: ImagePlan) -> dict[str, Any]:
    """One row, with its image as PNG."""
    dataset, drawing = BY_NAME[plan.dataset], draw(plan)
    buffer = io.BytesIO()
    Image.fromarray(drawing.image).save(buffer, "PNG", compress_level=3)
    facts = state_facts(plan, drawing)
    questions, captions = ask(dataset, plan.image_id, facts, plan.generator(OPTIONS, plan.number))
    questions |= ask_experts(plan, drawing)
    taxon_id, taxon_name = dataset.organism or (None, None)
    boxes = [
        {"className": b.name, "x1": b.x1, "y1": b.y1, "x2": b.x2, "y2": b.y2}
        for b in drawing.boxes if dataset.is_localised
    ]  # fmt: skip
    return {
        "image_id": plan.image_id, "image": {"bytes": buffer.getvalue(), "path": f"{plan.image_id}.png"},
        "label": LABELS.index(plan.label), "label_name": plan.label, "dataset": dataset.name,
        **{kind: facts[kind] for kind in COARSE_KINDS},
        "institution": "drawn by demo.generate", "license": "CC0-1.0", "pmid": None, "split": "test",
        "microns_per_pixel": dataset.microns_per_pixel, "ncbitaxon_id": taxon_id, "ncbitaxon_name": taxon_name,
        "synthetic": True, "captions": captions, "questions": questions, "bbox": boxes, "polygon": [],
    }  # fmt: skip

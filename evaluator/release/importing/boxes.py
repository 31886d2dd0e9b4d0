"""The boxes of a benchmark, once all of them are known. In: staged rows; out: boxes that fit their images, notes.

A dataset with a box anywhere asks for boxes on every image: an image without one must be found empty.
"""

from evaluator.errors import ProblemLog
from evaluator.release.boxes import MAX_CLASSES, ONLY_CLASS, cut, is_proper
from evaluator.release.importing.staging import Staging


def ask_for_boxes(staging: Staging, problems: ProblemLog) -> None:
    """Name the classes that each dataset with boxes asks for; note datasets whose boxes only partly name one."""
    asked = {}
    for dataset, classes in staging.box_classes().items():
        named = sorted(name for name in classes if name is not None)
        if named and None in classes:
            message = f"Some boxes of {dataset} have a className and some have none. Name the class of all, or of none."
            problems.add("unnamed_box", message)
        elif len(named) > MAX_CLASSES:
            message = f"The boxes of {dataset} have {len(named)} classes; at most {MAX_CLASSES} can be asked for."
            problems.add("too_many_classes", message)
        asked[dataset] = named or [ONLY_CLASS]
    staging.ask_for_boxes(asked)


def fit_boxes(staging: Staging) -> list[str]:
    """Cut what sticks out of its image and name the class of boxes without one; returns notes.

    Images must have been written. Raises InputError naming every box that lies outside its image.
    """
    problems, n_cut = ProblemLog(), 0
    for image in staging.with_boxes():
        fitted = []
        for box in image.boxes:
            inside = cut(box, image.width, image.height)
            n_cut += inside != box
            if not is_proper(inside):
                corners = ", ".join(f"{box[name]:g}" for name in ("x1", "y1", "x2", "y2"))
                problems.add(
                    "bad_box",
                    f"dataset {image.dataset}, image_id {image.image_id}: the box {corners} lies outside the image of "
                    f"{image.width} × {image.height} pixels. Correct or drop it.",
                    row=image.row,
                )
            fitted.append({**inside, "class": box["class"] or ONLY_CLASS})
        staging.replace_boxes(image.row, fitted)
    problems.raise_if_any()
    return [f"{n_cut} boxes stuck out of their image; they were cut at its edge."] if n_cut else []

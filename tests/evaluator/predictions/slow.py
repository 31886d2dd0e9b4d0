"""The slow definition of checking predictions: one row at a time, in plain words. In: rows; out: codes or choices."""

import math
import re
from collections import Counter
from typing import Any

from evaluator.predictions.replies import parse_reply
from evaluator.release.read import item_ids, read_items, read_questions
from evaluator.release.schema import Split

QuestionId = tuple[str, str, str, int | None]
CORNERS = ("x1", "y1", "x2", "y2")


def check_rows(rows: list[dict[str, Any]], release, split: Split, *, is_csv: bool) -> Counter | dict[QuestionId, Any]:
    """Counts per code when anything is wrong, else the chosen index, or the boxes, per question."""
    options = {
        (q["dataset"], q["image_id"], q["question"], q["variant"]): q["options"]
        for q in read_questions(release, split).to_pylist()
    }
    sizes = {(i["dataset"], i["image_id"]): (i["width"], i["height"]) for i in read_items(release, split).to_pylist()}
    items = {question[:2] for question in options}
    elsewhere = set(item_ids(read_items(release, Split.DEV)).to_pylist()) if split is not Split.DEV else set()
    wrong: Counter[str] = Counter()
    chosen: dict[QuestionId, Any] = {}
    unparsed = 0
    for row in rows:
        names = (row["dataset"], row["image_id"], row["question"])
        question = (*names, row["variant"])
        if None in names:
            wrong["missing_value"] += 1
        elif row["variant"] not in (None, 0, 1):
            wrong["bad_variant"] += 1
        elif names[:2] not in items:
            wrong["wrong_split" if "\0".join(names[:2]) in elsewhere else "unknown_image"] += 1
        elif question not in options:
            wrong["unknown_question"] += 1
        elif question in chosen:
            wrong["duplicate_answer"] += 1
        elif row["question"] == "localisation":
            chosen[question], code = _locate(row, options[question], sizes[names[:2]])
            wrong.update([code] if code else [])
        else:
            chosen[question], code, failed = _choose(row, options[question], is_csv)
            unparsed += failed
            if code := "boxes_not_asked" if row.get("boxes") else code:
                wrong[code] += 1
    if not wrong and not rows:
        wrong["empty_file"] += 1
    elif not wrong and all(_part(question)[0] == "beside" for question in chosen):
        wrong["core_tasks_missing"] += 1
    for part in {_part(question) for question in chosen}:
        missing = sum(_part(q) == part and q not in chosen for q in options)
        wrong.update({"missing_answer": missing} if missing else {})
    if not wrong and not unparsed and all(index == -1 for index in chosen.values()):
        wrong["nothing_answered"] += 1
    return wrong or chosen


def _part(question: QuestionId) -> tuple[Any, ...]:
    """What is answered whole or not at all: a variant of the core tasks, cognition, a dataset's localisation."""
    dataset, _, kind, variant = question
    if kind == "localisation":
        return ("beside", dataset)
    return ("beside", "cognition") if kind.startswith("cognition") else ("core", variant)


def _choose(row: dict[str, Any], options: list[str], is_csv: bool) -> tuple[int, str | None, bool]:
    option, reply = row["option"], row["reply"]
    if isinstance(option, str):
        if option in options:
            return options.index(option), None, False
        if not (is_csv and re.fullmatch(r"-?[0-9]{1,18}", option)):
            return -1, "option_not_in_list", False
        option = int(option)
    if option is not None:
        return (option, None, False) if 0 <= option < len(options) else (-1, "index_out_of_range", False)
    if reply is not None:
        parsed = parse_reply(reply, options)
        return (-1, None, True) if parsed is None else (parsed, None, False)
    return -1, None, False


def _locate(row: dict[str, Any], classes: list[str], size: tuple[int, int]) -> tuple[Any, str | None]:
    if row["option"] is not None or row["reply"] is not None:
        return -1, "option_not_asked"
    if row.get("boxes") is None:
        return -1, None
    if len(row["boxes"]) > 1000:
        return -1, "too_many_boxes"
    found = []
    for box in row["boxes"]:
        corners = [box.get(name) for name in CORNERS]
        score = box.get("score")
        if any(corner is None or not math.isfinite(corner) for corner in corners) or box.get("class") is None:
            return -1, "bad_box"
        if not (corners[0] < corners[2] and corners[1] < corners[3]) or not (score is None or math.isfinite(score)):
            return -1, "bad_box"
        if box["class"] not in classes:
            return -1, "unknown_class"
        edges = [*size, *size]
        if any(not -1 <= corner <= edge + 1 for corner, edge in zip(corners, edges, strict=True)):
            return -1, "box_outside"
        cut = [min(max(corner, 0), edge) for corner, edge in zip(corners, edges, strict=True)]
        if not (cut[0] < cut[2] and cut[1] < cut[3]):
            return -1, "box_outside"
        found.append({"class": box["class"], **dict(zip(CORNERS, cut, strict=True)), "score": score})
    return found, None

"""The slow definition of checking predictions: one row at a time, in plain words. In: rows; out: codes or choices."""

import re
from collections import Counter
from typing import Any

from evaluator.predictions.replies import parse_reply
from evaluator.release.read import item_ids, read_items, read_questions
from evaluator.release.schema import Split

QuestionId = tuple[str, str, str, int | None]


def check_rows(rows: list[dict[str, Any]], release, split: Split, *, is_csv: bool) -> Counter | dict[QuestionId, int]:
    """Counts per code when anything is wrong, else the chosen index per question."""
    options = {
        (q["dataset"], q["image_id"], q["question"], q["variant"]): q["options"]
        for q in read_questions(release, split).to_pylist()
    }
    items = {question[:2] for question in options}
    elsewhere = set(item_ids(read_items(release, Split.DEV)).to_pylist()) if split is not Split.DEV else set()
    wrong: Counter[str] = Counter()
    chosen: dict[QuestionId, int] = {}
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
        else:
            chosen[question], code, failed = _choose(row, options[question], is_csv)
            unparsed += failed
            if code:
                wrong[code] += 1
    for variant in {question[3] for question in chosen}:
        missing = sum(q[3] == variant and q not in chosen for q in options)
        wrong.update({"missing_answer": missing} if missing else {})
    if not wrong and not rows:
        wrong["empty_file"] += 1
    elif not wrong and not unparsed and all(index == -1 for index in chosen.values()):
        wrong["nothing_answered"] += 1
    return wrong or chosen


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

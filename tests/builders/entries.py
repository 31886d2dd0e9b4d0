"""Published entries with made-up answers: the scorer and the boards do their real work, no model is asked."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from evaluator.answers import ANSWERS, FOUND, Protocol, write_answers
from evaluator.release.key import read_key
from evaluator.release.read import item_ids, read_questions
from evaluator.release.schema import LOCALISATION, Split
from evaluator.release.tasks import task_slug
from leaderboard import storage
from leaderboard.models import Model, Release, Submission
from leaderboard.states import EvaluationState, SubmissionState
from tests.builders.leaderboard import make_evaluation, make_submission


def make_answered(
    model: Model, release: Release, *, skill: float = 0.6, skills: Mapping[str, float] | None = None, seed: int = 0,
    splits: tuple[str, ...] = ("test",), publish: bool = True, leave_out: str = "", **fields: object,
) -> Submission:  # fmt: skip
    """A submission of `model` whose stored answers are right with probability `skill`, or `skills[task]`.

    Of boxes, that share is found.
    `leave_out`: a task that it does not answer. Score it with `leaderboard.workers.drain.drain("score")`.
    """
    fields.setdefault("architecture", "ViT-B-32")
    submission = make_submission(
        model.owner, release, SubmissionState.ACCEPTED, model=model, publish=publish, file_size=605_143_316,
        file_name=f"{model.slug}.safetensors", file_sha256=f"{seed:064x}", facts={"parameters": 151_277_313}, **fields,
    )  # fmt: skip
    for split in splits:
        answers = _answers(release, Split(split), skill, skills or {}, seed, leave_out)
        with storage.work_folder("answers") as folder:
            write_answers(answers, folder / "answers.parquet")
            blob = storage.put_file(folder / "answers.parquet")
        is_checkpoint = submission.kind == "checkpoint"
        make_evaluation(
            submission, EvaluationState.ANSWERED, split=split, answers_sha256=blob.sha256,
            protocol=Protocol.CAPTIONS if is_checkpoint else Protocol.SELF_REPORTED,
            run={"sandbox": "bubblewrap"} if is_checkpoint else {},
        )  # fmt: skip
    return submission


def _answers(
    release: Release, split: Split, skill: float, skills: Mapping[str, float], seed: int, leave_out: str
) -> pa.Table:
    questions = read_questions(storage.release_folder(release), split)
    key = read_key(storage.key_folder(release, release.key_revision.number), split)
    right = {
        (item, answer["question"], answer["variant"]): answer["answer_idx"]
        for item, row in zip(item_ids(key).to_pylist(), key["answers"].to_pylist(), strict=True)
        for answer in row
    }
    boxes = dict(zip(item_ids(key).to_pylist(), key["boxes"].to_pylist(), strict=True))
    rng = np.random.default_rng(seed)
    rows = []
    for item, row in zip(item_ids(questions).to_pylist(), questions.to_pylist(), strict=True):
        task = task_slug(row["question"], row["dataset"])
        named = {name: row[name] for name in ("dataset", "image_id", "question", "variant")}
        if row["question"] == LOCALISATION:
            found = [{**box, "score": None} for box in boxes[item] if rng.random() < skills.get(task, skill)]
            rows += [] if task == leave_out else [{**named, "chosen": FOUND, "boxes": found}]
            continue
        answer, n = right[item, row["question"], row["variant"]], len(row["options"])
        knows = rng.random() < skills.get(task, skill)
        chosen = answer if knows or n < 2 else int((answer + rng.integers(1, n)) % n)
        if task != leave_out:
            rows.append({**named, "chosen": chosen})
    return pa.Table.from_pylist(rows, schema=ANSWERS)

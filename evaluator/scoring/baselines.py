"""What a model must beat. In: questions, and for majority the dev key; out: marks or answers. Unranked on boards."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaluator.answers import ABSTAINED, ANSWERS, ROW_ID
from evaluator.release.read import item_ids
from evaluator.release.schema import LOCALISATION, ReleaseInfo, Split
from evaluator.release.tasks import is_cognition_kind, task_slug
from evaluator.scoring.index import build_index
from evaluator.scoring.report import Scored, report_head, score_marked

Bucket = tuple[str, int | None]  # task and variant


def chance_marks(questions: pa.Table) -> NDArray[np.float32]:
    """(n,) the exact expected correctness of guessing among the options of each question: 1 / options.

    NaN where boxes are asked for: no guess at boxes is the natural one.
    """
    guessed = 1.0 / pc.list_value_length(questions["options"]).to_numpy()
    return np.where(pc.equal(questions["question"], LOCALISATION).to_numpy(), np.nan, guessed).astype(np.float32)


def score_chance(
    info: ReleaseInfo, split: Split, questions: pa.Table, key: pa.Table, *, protocol: str, key_revision: int
) -> Scored:
    """The report of guessing at every question: exact expectations, no draw of luck in it."""
    index = build_index(info, split, questions, key)
    head = report_head(info, split, protocol=protocol, key_revision=key_revision)
    return score_marked(index, chance_marks(questions), head=head, counts={})


def majority_answers(dev_questions: pa.Table, dev_key: pa.Table, questions: pa.Table) -> pa.Table:
    """ANSWERS that choose, at every question that has options, the one that was right most often in dev.

    Counted per task and variant by the option's text; ties go to the option that stands first; an option never right
    in dev counts 0, and where no option was ever right nothing is chosen. Cognition is left out where dev has none.
    """
    dev_questions, questions = with_options(dev_questions), with_options(questions)
    seen: dict[Bucket, Counter[str]] = {}
    for (question, dataset, variant, _), right in zip(
        question_rows(dev_questions), right_options(dev_questions, dev_key), strict=True
    ):
        seen.setdefault((task_slug(question, dataset), variant), Counter())[right] += 1
    if not any(map(is_cognition_kind, dev_questions["question"].unique().to_pylist())):
        questions = without_cognition(questions)
    chosen = []
    for question, dataset, variant, options in question_rows(questions):
        counts = seen.get((task_slug(question, dataset), variant), Counter())
        best = max(range(len(options)), key=lambda i: (counts[options[i]], -i))
        chosen.append(best if counts[options[best]] else ABSTAINED)
    return answers_that_choose(questions, np.array(chosen, np.int16))


def with_options(questions: pa.Table) -> pa.Table:
    """The rows that are answered by an option: all but those that ask for boxes."""
    return questions.filter(pc.not_equal(questions["question"], LOCALISATION))


def without_cognition(questions: pa.Table) -> pa.Table:
    """The rows of other kinds."""
    return questions.filter(pa.array([not is_cognition_kind(kind) for kind in questions["question"].to_pylist()]))


def answers_that_choose(questions: pa.Table, chosen: NDArray[np.int16]) -> pa.Table:
    """ANSWERS with these choices, one per row of `questions`, and nothing beside them."""
    columns = {name: questions[name] for name in ROW_ID}
    n = questions.num_rows
    filled = {name: pa.nulls(n, ANSWERS.field(name).type) for name in ("scores", "text", "truncated", "boxes")}
    return pa.table({**columns, "chosen": pa.array(chosen), **filled}, schema=ANSWERS)


def right_options(questions: pa.Table, key: pa.Table) -> list[str]:
    """The text of the right option of every row of `questions`."""
    answers = {
        (item, answer["question"], answer["variant"]): answer["answer_idx"]
        for item, row in zip(item_ids(key).to_pylist(), key["answers"].to_pylist(), strict=True)
        for answer in row
    }
    rows = zip(item_ids(questions).to_pylist(), question_rows(questions), strict=True)
    return [options[answers[item, question, variant]] for item, (question, _, variant, options) in rows]


def question_rows(questions: pa.Table) -> list[tuple[str, str, int | None, list[str]]]:
    """Question kind, dataset, variant and options of every row."""
    columns = (questions[name].to_pylist() for name in ("question", "dataset", "variant", "options"))
    return list(zip(*columns, strict=True))

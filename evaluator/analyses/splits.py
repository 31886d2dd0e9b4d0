"""One split with its key, as analyses need it. In: a release folder or tables; out: questions, key and index."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluator.answers import align
from evaluator.errors import InputError
from evaluator.release.key import read_key
from evaluator.release.read import read_info, read_questions
from evaluator.release.schema import ReleaseInfo, Split
from evaluator.scoring.index import KeyIndex, build_index
from evaluator.scoring.report import mark_answers


@dataclass(frozen=True, kw_only=True)
class SplitKey:
    """A split's questions (n rows, canonical order), its key, and both as arrays."""

    info: ReleaseInfo
    questions: pa.Table
    key: pa.Table
    index: KeyIndex


def load_split(release: Path, split: Split, key_dir: Path | None = None) -> SplitKey:
    """Read `split` of a release folder; keys lie in `key_dir`, by default in RELEASE/keys.

    Raises InputError when the release lacks the split or is damaged, when there is no key, and when it does not fit
    (`key_mismatch`).
    """
    info = read_info(release)
    questions = read_questions(release, split)
    return split_key(info, split, questions, read_key(key_dir or release / "keys", split))


def split_key(info: ReleaseInfo, split: Split, questions: pa.Table, key: pa.Table) -> SplitKey:
    """The same of tables. Raises InputError (`key_mismatch`) when the key does not fit the questions."""
    try:
        index = build_index(info, split, questions, key)
    except ValueError as error:
        raise InputError.single("key_mismatch", f"This key is not of this release: {error}.") from error
    return SplitKey(info=info, questions=questions, key=key, index=index)


def marks_of(split: SplitKey, answers: pa.Table) -> NDArray[np.float32]:
    """(n,) the correctness of every question row, NaN where not asked. Raises InputError as `scoring.score` does."""
    return mark_answers(split.index, align(answers, split.questions), split.questions, split.key)

"""What every analysis says of itself. In: a link and a split; out: heads, keys, and the document of a refusal."""

from typing import Any

from evaluator.analyses.forgetting import analysis_head
from evaluator.analyses.splits import SplitKey
from evaluator.errors import InputError
from evaluator.release.info import info_from_json
from evaluator.release.key import read_key
from evaluator.release.read import read_questions
from evaluator.release.schema import Split
from leaderboard import storage
from leaderboard.boards.compute import key_index
from leaderboard.models import BaseLink, Release
from leaderboard.models.lineage import AnalysisKind

SCHEMA = 1


def head(link: BaseLink, split: Split) -> dict[str, Any]:
    """Which release, split and key it was computed on."""
    release = link.submission.release
    return analysis_head(info_from_json(release.info), split, key_revision=release.key_in_force.number)


def split_key(release: Release, split: Split) -> SplitKey:
    """The questions and the key in force of a split, as a sweep is scored by. Reads KEY_ROOT."""
    return SplitKey(
        info=info_from_json(release.info), index=key_index(release, split),
        questions=read_questions(storage.release_folder(release), split),
        key=read_key(storage.key_folder(release, release.key_in_force.number), split),
    )  # fmt: skip


def not_applicable(kind: AnalysisKind, link: BaseLink, split: str, error: InputError) -> dict[str, Any]:
    """What stands where an analysis cannot be made: the reasons, by code and sentence."""
    reasons = [problem.as_dict() for problem in error.problems]
    return {"schema": SCHEMA, "analysis": str(kind), **head(link, Split(split)), "not_applicable": reasons}

"""The marks beside a model on a board, each with its one-line explanation: in the cell, and in the legend below."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from evaluator.answers import Protocol
from leaderboard.boards.rows import DERIVED, PAPER, Row
from leaderboard.models.submissions import SubmissionKind
from leaderboard.numbers import percent


@dataclass(frozen=True, kw_only=True)
class Mark:
    """`code` names it in addresses and styles; `says` explains it in one sentence."""

    code: str
    word: str
    says: str
    tone: str = ""  # a class of tables.css


VERIFIED = Mark(
    code="verified", word="✓ verified", tone="verified",
    says="Our worker computed the answers itself, from the submitted weights.",
)  # fmt: skip
BASELINE = Mark(code="baseline", word="baseline", says="A reference, not a competitor; it stands unranked.")
MERGED = Mark(
    code=DERIVED, word="merge",
    says="The server averaged the weights of other submissions; it stands unranked beside them.",
)  # fmt: skip
REPORTED = Mark(
    code=PAPER, word="reported in the paper",
    says="Published by the benchmark's authors (arXiv 2407.01791), measured on the whole public release with their own "
         "code and not computed here; it stands unranked.",
)  # fmt: skip
STALE = Mark(
    code="stale", word="stale", tone="warn",
    says="Scored with an earlier key or scorer; the new score is being computed from the stored answers.",
)  # fmt: skip
WEAK = Mark(
    code="weak-sandbox", word="weak sandbox", tone="warn",
    says="Answered on a machine that could not fully isolate the submitted weights.",
)  # fmt: skip
REDUCED = Mark(
    code="precision", word="bf16", tone="warn",
    says="Computed in reduced precision and not in fp32, the official one.",
)  # fmt: skip
UNPARSED = Mark(
    code="unparsed", word="unparsed", tone="warn",
    says="The share of its replies that named no single option; they count as wrong.",
)  # fmt: skip
PROTOCOLS = {
    Protocol.CAPTIONS: "The options were captions, and the caption closest to the image was chosen.",
    Protocol.QUESTIONS: "The question was put as text and the reply was read by a strict parser.",
    Protocol.LETTER: "The likeliest option letter was taken as the answer.",
    Protocol.BOXES: "The dataset's classes were named, and the boxes that the model drew are its answer.",
    Protocol.SELF_REPORTED: "The author computed the answers and uploaded them as a prediction file.",
}
LEGEND = (
    VERIFIED,
    *(Mark(code=protocol, word=protocol, says=says) for protocol, says in PROTOCOLS.items()),
    BASELINE, MERGED, REPORTED, STALE, WEAK, REDUCED, UNPARSED,
)  # fmt: skip
BY_CODE = {mark.code: mark for mark in LEGEND}
RARE = (MERGED, REPORTED, REDUCED, UNPARSED)  # in the legend only where a row carries them


def legend_of(rows: Iterable[Row]) -> list[Mark]:
    """The marks that a board of these rows explains."""
    carried = {mark.code for row in rows for mark in marks_of(row)}
    return [mark for mark in LEGEND if mark not in RARE or mark.code in carried]


def marks_of(row: Row) -> list[Mark]:
    """The marks that a row carries, in reading order."""
    marks = [VERIFIED] if row.verified else []
    marks += [MERGED] if row.kind == DERIVED else []
    if row.kind == SubmissionKind.BASELINE:
        marks.append(BASELINE)
    elif row.kind == PAPER:
        marks += [REPORTED, *([BY_CODE[row.protocol]] if row.protocol in BY_CODE else [])]
    elif row.protocol in BY_CODE:
        marks.append(BY_CODE[row.protocol])
    marks += ([STALE] if row.stale else []) + ([WEAK] if row.weak_sandbox else [])
    return marks + _of_the_run(row)


def _of_the_run(row: Row) -> list[Mark]:
    marks = []
    if row.precision:
        compared = f" {percent(row.agreement)} % of its choices agree with fp32." if row.agreement is not None else ""
        marks.append(replace(REDUCED, word=row.precision, says=REDUCED.says + compared))
    if row.unparsed:
        marks.append(replace(UNPARSED, word=f"{percent(row.unparsed)} % unparsed"))
    return marks

"""The line of states at the top of a submission. In: its detail; out: steps with times, one of them the present."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from leaderboard.detail import Detail
from leaderboard.models import Event

CHECKED, ANSWERED, SCORED, PUBLISHED = 1, 2, 3, 4
KEPT = "kept private"
WORDS = ("received", "checked", "answered", "scored", "published")
# combined state -> the step it stands at, and what that step is called meanwhile
PRESENT = {
    "uploading": (0, "receiving"), "uploaded": (CHECKED, "waiting to be checked"), "validating": (CHECKED, "checking"),
    "queued": (ANSWERED, "queued"), "running": (ANSWERED, "running"), "scoring": (SCORED, "scoring"),
    "accepted": (ANSWERED, "accepted"),
}  # fmt: skip
WRONG = {"rejected": (CHECKED, "rejected"), "failed": (ANSWERED, "failed"), "cancelled": (ANSWERED, "cancelled")}
TONES = {
    "scored": "good", "rejected": "bad", "failed": "bad", "cancelled": "", "withdrawn": "", "running": "busy",
    "validating": "busy", "scoring": "busy", "answered": "busy", "done": "good",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step; `css` is past, now, wrong or nothing."""

    word: str
    css: str
    at: datetime | None = None


def steps(detail: Detail) -> list[Step]:
    """Received → checked → answered → scored → published, as far as it came."""
    times, words = _times(detail), _words(detail)
    if detail.state == "withdrawn":
        done = [Step(word=word, css="past", at=at) for word, at in zip(WORDS, times, strict=True) if at]
        return [*done, Step(word="withdrawn", css="wrong", at=_last(detail.events, "withdrawn"))]
    if detail.state == "scored":
        stands = KEPT if detail.submission.kept_private else "not published"
        at, word = (len(WORDS), "") if times[PUBLISHED] else (PUBLISHED, stands)
        here = ""
    elif detail.state in WRONG:
        (at, word), here = WRONG[detail.state], "wrong"
    else:
        (at, word), here = PRESENT[detail.state], "now"
    line = [Step(word=name, css="past", at=times[place]) for place, name in enumerate(words[:at])]
    if at < len(WORDS):
        line.append(Step(word=word, css=here, at=_last(detail.events, detail.state) if here else None))
        line += [Step(word=name, css="") for name in words[at + 1 :] if not here == "wrong"]
    return line


def tone(state: str) -> str:
    """How a state is shown: a class of live.css, always beside its word."""
    return TONES.get(state, "wait")


def _words(detail: Detail) -> tuple[str, ...]:
    """A base that is kept private does not end on the boards."""
    return (*WORDS[:PUBLISHED], KEPT) if detail.submission.kept_private else WORDS


def _times(detail: Detail) -> list[datetime | None]:
    events = detail.events
    published = [found.entry.published_at for found in detail.evaluations if found.entry]
    return [
        _last(events, "uploaded", first=True), _last(events, "accepted"), _last(events, "answered"),
        _last(events, "scored"), min(published, default=None),
    ]  # fmt: skip


def _last(events: Iterable[Event], state: str, *, first: bool = False) -> datetime | None:
    times = [event.at for event in events if event.to_state == state]
    return (min if first else max)(times, default=None)

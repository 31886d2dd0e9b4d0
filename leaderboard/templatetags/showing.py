"""Template filters that show numbers and times. No rule lives here."""

from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from leaderboard import numbers
from leaderboard.boards import render
from leaderboard.pages import states
from leaderboard.pages.tuned import pairs

register = template.Library()
register.filter("percent", numbers.percent)
register.filter("points", numbers.points)
register.filter("count", numbers.count)
register.filter("large", numbers.large)
register.filter("bytes", numbers.size)
register.filter("duration", numbers.duration)
register.filter("target_words", pairs.target_words)
register.filter("tone", states.tone)
register.filter("drawn", render.drawn)
register.filter("rank_interval", render.rank_interval)


@register.filter
def interval(shown: Any) -> str:
    """'60.0–65.1' of what has `low` and `high`; one dash where there is no interval, as for baselines."""
    low, high = (shown["low"], shown["high"]) if isinstance(shown, dict) else (shown.low, shown.high)
    return numbers.MISSING if low is None else f"{numbers.percent(low)}–{numbers.percent(high)}"


@register.filter
def points_interval(change: dict[str, Any]) -> str:
    """'−18.1 to −6.5' of what has `low` and `high`."""
    return numbers.points_interval(change["low"], change["high"])


@register.filter
def fact(value: object) -> str:
    """A fact that validation established, as words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return numbers.count(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {fact(inner)}" for name, inner in value.items()) or numbers.MISSING
    if isinstance(value, list):
        return ", ".join(fact(inner) for inner in value) or "none"
    return str(value)


@register.filter
def when(moment: datetime | None) -> SafeString | str:
    """An ISO date and time, with how long ago on hover."""
    if moment is None:
        return numbers.MISSING
    utc = moment.astimezone(timezone.get_default_timezone())
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', utc.isoformat(timespec="seconds"), ago(moment),
        utc.strftime("%Y-%m-%d %H:%M"),
    )  # fmt: skip


@register.filter
def day(moment: datetime | None) -> SafeString | str:
    """An ISO date, with how long ago on hover."""
    if moment is None:
        return numbers.MISSING
    return format_html('<time datetime="{0}" title="{1}">{0}</time>', f"{moment:%Y-%m-%d}", ago(moment))


@register.filter
def ago(moment: datetime | None) -> str:
    """How long before now: '4 min 12 s ago'."""
    if moment is None:
        return numbers.MISSING
    seconds = (timezone.now() - moment).total_seconds()
    return f"in {numbers.duration(-seconds)}" if seconds < -1 else f"{numbers.duration(seconds)} ago"

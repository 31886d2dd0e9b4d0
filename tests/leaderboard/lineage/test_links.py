"""Naming a base and a target domain: what is taken, what is refused and why, what stays on record."""

import pytest

from evaluator.errors import InputError
from leaderboard import publication, submissions
from leaderboard.lineage import links, pairs
from leaderboard.models import BaseLink
from leaderboard.queue import Queue
from leaderboard.workers.drain import drain
from tests.builders.entries import make_answered
from tests.builders.leaderboard import make_model, make_release, make_submission

pytestmark = pytest.mark.django_db(transaction=True)


def answered(author, release, slug, **fields):
    return make_answered(make_model(author, slug), release, **fields)


def codes(refused) -> list[str]:
    return [problem.code for problem in refused.value.problems]


def some_value(release, facet="modality") -> str:
    return next(iter(release.summary["test"]["facets"][facet]))


def test_a_model_or_a_submission_is_named(release, author):
    base, tuned = answered(author, release, "base"), answered(author, release, "tuned")
    link = links.declare(tuned, "base", [], by=author)
    assert (link.model, link.base, link.after_scores) == (base.model, base, False)
    by_id = links.declare(tuned, str(base.pk), [], by=author)
    assert by_id == link and BaseLink.objects.count() == 1  # the same words again
    tuned.refresh_from_db()
    assert tuned.base == base.model


def test_what_is_declared_after_scores_says_so_and_the_earlier_word_stays(release, author):
    answered(author, release, "base")
    tuned = answered(author, release, "tuned")
    first = links.declare(tuned, "base", [], by=author)
    drain(Queue.SCORE)
    second = links.declare(tuned, "base", [f"modality={some_value(release)}"], by=author)
    first.refresh_from_db()
    assert (first.after_scores, second.after_scores) == (False, True)
    assert first.superseded_at is not None and pairs.in_force(tuned) == second


def test_a_base_that_cannot_be_one_is_refused_by_name(release, author, stranger):
    tuned = answered(author, release, "tuned")
    withdrawn = answered(author, release, "withdrawn")
    submissions.withdraw(withdrawn, by=author)
    elsewhere = make_submission(author, make_release())
    foreign = answered(stranger, release, "foreign", publish=False)
    drain(Queue.SCORE)
    expected = {
        "no-such-model": "unknown_base", str(foreign.pk): "unknown_base", "foreign": "unknown_base",
        "baseline-chance": "base_is_baseline", str(withdrawn.pk): "base_withdrawn",
        str(elsewhere.pk): "base_other_release", str(tuned.pk): "base_cycle",
    }  # fmt: skip
    for base, code in expected.items():
        with pytest.raises(InputError) as refused:
            links.declare(tuned, base, [], by=author)
        assert codes(refused) == [code], base
    assert not BaseLink.objects.exists()


def test_bases_that_go_round_in_a_circle_are_refused(release, author):
    first, second, third = (answered(author, release, slug) for slug in ("first", "second", "third"))
    links.declare(second, "first", [], by=author)
    links.declare(third, "second", [], by=author)
    with pytest.raises(InputError) as refused:
        links.declare(first, "third", [], by=author)
    assert codes(refused) == ["base_cycle"]
    assert "third → second → first" in refused.value.problems[0].message


def test_everything_wrong_is_said_at_once(release, author):
    tuned = answered(author, release, "tuned")
    with pytest.raises(InputError) as refused:
        links.declare(tuned, "nobody", ["colour=red", "modality=x-ray"], by=author)
    assert codes(refused)[0] == "unknown_base" and "target" in codes(refused)[1]
    with pytest.raises(InputError) as refused:
        links.declare(tuned, "nobody", ["modality=x-ray"], by=author)
    assert codes(refused) == ["unknown_base", "target_unknown_value"]
    assert some_value(release) in refused.value.problems[1].message  # names what could be said


def test_a_target_that_everything_or_nothing_matches_is_refused(release, author):
    answered(author, release, "base")
    tuned = answered(author, release, "tuned")
    everything = [f"modality={value}" for value in release.summary["test"]["facets"]["modality"]]
    with pytest.raises(InputError) as refused:
        links.declare(tuned, "base", everything, by=author)
    assert codes(refused) == ["target_matches_everything"]


def test_a_base_that_is_published_later_is_found_then(release, author, stranger):
    """Its model is known from dev; what it has on test may not be known of before it is published."""
    foreign = answered(stranger, release, "foreign", publish=False)
    tuned = answered(author, release, "tuned")
    link = BaseLink.objects.create(submission=tuned, model=foreign.model, after_scores=False)
    drain(Queue.SCORE)
    link.refresh_from_db()
    assert link.base is None  # scored, and its author's alone
    publication.publish_all(foreign, by=stranger)
    link.refresh_from_db()
    assert link.base == foreign

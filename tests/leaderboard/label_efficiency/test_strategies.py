"""Query strategies on the server: a killed study loses nothing and stores nothing twice; what stands is compared."""

from itertools import product

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from evaluator.active_learning.names import Start, Strategy
from evaluator.errors import EvaluationFailed
from leaderboard import states
from leaderboard.label_efficiency import encoders, reading, strategies, studies
from leaderboard.models import Model, StrategyRun, Study, Submission
from leaderboard.queue import Queue, claims, reconciler
from leaderboard.states import StudyState
from leaderboard.workers import study as worker
from leaderboard.workers.drain import drain, work
from tests.builders.studies import make_embedded

pytestmark = pytest.mark.django_db(transaction=True)
ANYONE = AnonymousUser()
FOUR = (Strategy.RANDOM, Strategy.MARGIN, Strategy.TYPICLUST, Strategy.DROPQUERY)
PAIRS = list(product(FOUR, (Start.RANDOM, Start.CENTROID)))


@pytest.fixture
def encoder(release, here) -> Submission:
    """A reference encoder on the boards; its label efficiency is not what these tests are about."""
    submission = make_embedded(release, "encoder", clear=2.0)
    drain(Queue.SCORE)
    states.advance_study(Study.objects.get(), StudyState.FAILED)
    call_command("reference_encoder", "encoder")
    return submission


def pairs_of(rows) -> list[tuple[str, str]]:
    return sorted((run.strategy, run.start) for run in rows.filter(superseded_at=None))


def test_every_pair_is_run_once_and_compared_by_start(release, encoder, capsys):
    call_command("label_efficiency", release.slug, track="b", dataset=["cells_a"], strategy=FOUR)
    assert "8 strategies on cells_a by encoder: queued" in capsys.readouterr().out
    drain(Queue.STUDY)
    assert pairs_of(StrategyRun.objects) == sorted((str(one), str(other)) for one, other in PAIRS)
    run = StrategyRun.objects.get(strategy="dropquery", start="centroid")
    assert run.document["labels"] == [3, 6, 9, 12] and run.document["head"] == strategies.HEAD
    dev = {name for ids in run.document["selected"][0] for name in ids}
    assert len(dev) == 12, "distinct ids of the pool, which are public"
    compared = reading.comparisons(ANYONE, release)
    assert [(each.dataset, each.encoder, each.start) for each in compared.found] == [
        ("cells_a", "encoder", "random"),
        ("cells_a", "encoder", "centroid"),
    ]
    single = [each for each in compared.found if each.dataset]
    assert [row["strategy"] for row in single[0].document["strategies"]] == list(FOUR)
    assert compared.encoders == [("encoder", "encoder")] and compared.waiting == 0
    assert compared.datasets == [("cells_a", single[0].title)]
    assert reading.comparisons(ANYONE, release, "cells_b").found == []
    call_command("label_efficiency", release.slug, track="b", dataset=["cells_a"], strategy=FOUR)
    assert "nothing to do" in capsys.readouterr().out
    call_command("rescore", verify=True)
    call_command("reference_encoder", "encoder", remove=True)
    assert reading.comparisons(ANYONE, release).found == []


def test_a_study_killed_in_the_middle_goes_on_and_stores_nothing_twice(encoder, here, monkeypatch, settings):
    monkeypatch.setattr(strategies, "PAIRS_AT_ONCE", 4)
    studies.ask_strategies(encoder, "cells_a", PAIRS)
    perform, calls = worker.perform_apart, []

    def killed(tasks, **how):
        calls.append(len(tasks))
        if len(calls) == 2:
            raise KeyboardInterrupt  # as far as the rows go, what kill -9 leaves: nothing is given back
        return perform(tasks, **how)

    monkeypatch.setattr(worker, "perform_apart", killed)
    claim = claims.claim(Queue.STUDY, "w")
    with pytest.raises(KeyboardInterrupt):
        work(claim, worker.study)
    kept = {run.pk: run.sha256 for run in StrategyRun.objects.all()}
    assert len(kept) == strategies.PAIRS_AT_ONCE and Study.objects.get(pk=claim.pk).state == StudyState.RUNNING
    Study.objects.filter(pk=claim.pk).update(lease_until=Now())
    reconciler.reconcile()
    Study.objects.update(not_before=None)
    assert drain(Queue.STUDY) == 1
    study = Study.objects.get(pk=claim.pk)
    assert study.state == StudyState.DONE
    assert calls == [4, 4, 4], "the first four were not run again"
    assert len(pairs_of(StrategyRun.objects)) == StrategyRun.objects.count() == 8
    assert {run.pk: run.sha256 for run in StrategyRun.objects.filter(pk__in=kept)} == kept
    moves = list(study.events.values_list("to_state", flat=True))
    assert moves == ["queued", "running", "queued", "running", "done"]


def test_a_worker_whose_lease_ran_out_stores_nothing(encoder, here, monkeypatch):
    studies.ask_strategies(encoder, "cells_a", PAIRS[:1])
    perform = worker.perform_apart

    def overtaken(tasks, **how):
        Study.objects.update(lease_until=Now())
        reconciler.reconcile()
        return perform(tasks, **how)

    monkeypatch.setattr(worker, "perform_apart", overtaken)
    claim = claims.claim(Queue.STUDY, "w")
    work(claim, worker.study)
    assert not StrategyRun.objects.exists()
    study = Study.objects.get(pk=claim.pk)
    assert study.state == StudyState.QUEUED and study.events.filter(to_state="fenced").count() == 1


def test_more_that_is_asked_for_meanwhile_is_done_too(encoder, here, monkeypatch):
    study = studies.ask_strategies(encoder, "cells_a", PAIRS[:1])
    perform = worker.perform_apart

    def asked(tasks, **how):
        if len(here) == 0:
            assert studies.ask_strategies(encoder, "cells_a", PAIRS[:3]) == study
        return perform(tasks, **how)

    monkeypatch.setattr(worker, "perform_apart", asked)
    drain(Queue.STUDY)
    assert len(pairs_of(StrategyRun.objects)) == 3
    assert Study.objects.filter(kind="strategies").count() == 1
    assert [len(tasks) for tasks in here] == [1, 2]


def test_an_infrastructure_failure_is_tried_again_three_times_without_progress(encoder, monkeypatch, settings):
    studies.ask_strategies(encoder, "cells_a", PAIRS[:1])

    def broken(tasks, **how):
        raise EvaluationFailed("study_failed", "the process died", retry=True)

    monkeypatch.setattr(worker, "perform_apart", broken)
    for attempt in range(settings.MAX_ATTEMPTS):
        Study.objects.update(not_before=None)
        assert drain(Queue.STUDY) == 1, attempt
    study = Study.objects.get(kind="strategies")
    assert (study.state, study.failure_code, study.attempts) == (StudyState.FAILED, "worker_lost", 3)
    assert studies.ask_strategies(encoder, "cells_a", PAIRS[:1]) != study, "asking again makes a new one"


def test_a_pool_too_small_for_one_label_per_class_fails_in_words(release, encoder, monkeypatch):
    studies.ask_strategies(encoder, "no_such", PAIRS[:1])
    drain(Queue.STUDY)
    assert Study.objects.get(dataset="no_such").failure_code == "no_such_dataset"


def test_the_command_refuses_what_there_is_not(release, encoder, capsys):
    for wrong in ({"dataset": ["nothing"]}, {"seeds": 1}):
        with pytest.raises(CommandError):
            call_command("label_efficiency", release.slug, track="b", **wrong)
    with pytest.raises(CommandError, match="no release"):
        call_command("label_efficiency", "nothing")
    with pytest.raises(CommandError, match="no model"):
        call_command("reference_encoder", "nothing")
    Model.objects.update(is_reference_encoder=False)
    call_command("label_efficiency", release.slug, track="b")
    assert "mark some" in capsys.readouterr().out
    assert encoders.reference_encoders(release) == []


def test_several_encoders_are_pooled_by_start_too(release, encoder, here):
    other = make_embedded(release, "another", clear=1.0, seed=3)
    drain(Queue.SCORE)
    call_command("reference_encoder", "another")
    for submission in (encoder, other):
        studies.ask_strategies(submission, "cells_a", [(name, Start.RANDOM) for name in FOUR[:2]])
    studies.ask_strategies(other, "cells_a", [(Strategy.RANDOM, Start.CENTROID)])
    drain(Queue.STUDY)
    compared = reading.comparisons(ANYONE, release).found
    places = [(each.dataset, each.encoder, each.start) for each in compared]
    assert places == [
        (None, None, "random"), ("cells_a", "another", "random"), ("cells_a", "encoder", "random"),
        ("cells_a", "another", "centroid"),
    ]  # fmt: skip
    pooled = compared[0].document
    assert pooled["encoders"] == ["another", "encoder"] and pooled["datasets"] == ["cells_a"]
    means = [row["aulc"]["mean"] for row in pooled["strategies"]]
    own = [[row["aulc"]["mean"] for row in each.document["strategies"]] for each in compared[1:3]]
    assert means == pytest.approx([sum(pair) / 2 for pair in zip(*own, strict=True)], abs=2e-6)

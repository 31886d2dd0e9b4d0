"""Label efficiency on the server: asked for by itself, computed in a process apart, stored once, read by who may."""

import json

import numpy as np
import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import CommandError, call_command
from django.test import Client

from leaderboard import storage, submissions
from leaderboard.label_efficiency import efficiency, reading, studies
from leaderboard.label_efficiency.rows import Standing
from leaderboard.models import KeyRevision, LabelEfficiency, Study
from leaderboard.queue import Queue
from leaderboard.states import StudyState
from leaderboard.workers.drain import drain
from tests.builders.leaderboard import make_model, make_user
from tests.builders.studies import make_embedded

pytestmark = pytest.mark.django_db(transaction=True)
ANYONE = AnonymousUser()
SEEDS = 3


@pytest.fixture
def few_seeds(monkeypatch):
    monkeypatch.setattr(studies, "SEEDS", SEEDS)


def test_it_is_measured_once_both_splits_are_scored(release):
    submission = make_embedded(release, "mine", clear=2.0)
    drain(Queue.SCORE)
    study = Study.objects.get()
    assert (study.kind, study.state, study.submission) == ("efficiency", StudyState.QUEUED, submission)
    assert drain(Queue.STUDY) == 1
    study.refresh_from_db()
    assert study.state == StudyState.DONE, (study.failure_code, study.failure_message)
    rows = reading.of_submission(ANYONE, submission)
    print(json.dumps(rows[0].document)[:3000])
    assert [row.dataset for row in rows] == ["cells_a", "cells_b"]

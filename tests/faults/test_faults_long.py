"""Every fault several times at 5 s leases, at random moments, to submissions that take the whole way."""

import random
import time

import pytest

from tests.builders.waiting import wait_until
from tests.faults.faults import FAULTS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults, pytest.mark.timeout(600)]
LEASE_S = 5.0
SPLITS = ("dev", "test", "sealed")
ROUNDS = 2
AFTER_FAULT_S = 60.0


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_everything_accepted_is_scored_exactly_once_when(fault, seed, live):
    submission = live.submit()
    last = wait_until(lambda: submission.evaluations.order_by("created_at").last(), within_s=60)
    time.sleep(random.Random(seed).uniform(0, 3))
    fault(live, last)
    live.assert_scored_once(submission, within_s=AFTER_FAULT_S)

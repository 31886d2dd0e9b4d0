"""Every fault once, at short leases: the evaluation it hits ends scored exactly once."""

import pytest

from tests.faults.faults import FAULTS

pytestmark = pytest.mark.django_db(transaction=True)
LEASE_S = 2.0
SPLITS = ("test",)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_scored_exactly_once_when(fault, live):
    evaluation = live.accepted()
    fault(live, evaluation)
    live.assert_scored_once(evaluation.submission, within_s=60)

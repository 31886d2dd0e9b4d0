"""The OpenAPI description against the server: no request of its making is ever our fault, answers are as described."""

import json

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client
from hypothesis import HealthCheck, given, settings
from knox.models import AuthToken
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from leaderboard.api.urls import urlpatterns
from tests.builders.leaderboard import make_user

EXAMPLES = 8  # per operation
# Ours is the only token sent, whatever was generated; and there are rules beyond a schema, such as known models.
NOT_ASKED = [ignored_auth, positive_data_acceptance]


@pytest.mark.django_db
def test_every_address_is_described():
    described = json.loads(Client().get("/api/v1/schema/?format=json").content)["paths"]
    patterns = {str(pattern.pattern) for pattern in urlpatterns if pattern.name not in ("schema", "api-unknown")}
    assert len(described) == len(patterns)
    assert all(answers["responses"] for methods in described.values() for answers in methods.values())


def test_no_request_is_our_fault(standing):
    """No django_db mark: a request through WSGI ends its connection, so rows are committed, and flushed afterwards."""
    _, text = AuthToken.objects.create(make_user("fuzzer"), expiry=None)
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", WSGIHandler())
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy())
        def run(case):
            answer = case.call(headers={"Authorization": f"Token {text}"})
            assert answer.status_code < 500, answer.text
            case.validate_response(answer, excluded_checks=NOT_ASKED)

        run()
    assert len(operations) >= 13

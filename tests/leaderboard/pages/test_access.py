"""Every address against every kind of visitor. A new route without a row here fails."""

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.builders.leaderboard import make_suggestion

pytestmark = pytest.mark.django_db

SIGN_IN = "sign in"
# address: its arguments from the standing board, then the status for (anonymous, stranger, owner, staff)
EVERYONE = (200, 200, 200, 200)
SIGNED_IN = (SIGN_IN, 200, 200, 200)
MINE = (SIGN_IN, 404, 200, 200)
OWN_SECRET = (404, 404, 200, 200)
STAFF = (404, 404, 404, 200)
RULES = {
    "home": ({}, EVERYONE),
    "rules": ({}, EVERYONE),
    "theme": ({"choice": "dark"}, (302, 302, 302, 302)),
    "release": ({"release": "standing"}, EVERYONE),
    "release-forgetting": ({"release": "standing"}, EVERYONE),
    "label-efficiency": ({"release": "standing"}, EVERYONE),
    "label-efficiency-dataset": ({"release": "standing", "dataset": "cells_a"}, EVERYONE),
    "strategies": ({"release": "standing"}, EVERYONE),
    "pack": ({"release": "standing", "split": "test"}, EVERYONE),
    "board": ({"release": "standing", "board": "overall"}, EVERYONE),
    "architectures": ({}, EVERYONE),
    "architecture-chosen": ({}, EVERYONE),
    "models": ({}, EVERYONE),
    "model": ({"slug": "strong"}, EVERYONE),
    "model-report": ({"slug": "strong", "release": "standing", "split": "test"}, (302, 302, 302, 302)),
    "model-edit": ({"slug": "strong"}, (SIGN_IN, 403, 200, 200)),
    "submit": ({}, SIGNED_IN),
    "submission": ({"pk": "hidden"}, OWN_SECRET),
    "submission-live": ({"pk": "hidden"}, OWN_SECRET),
    "submission-problems": ({"pk": "hidden"}, MINE),
    "submission-publish": ({"pk": "hidden"}, MINE),
    "submission-withdraw": ({"pk": "hidden"}, MINE),
    "submission-cancel": ({"pk": "hidden"}, MINE),
    "submission-base": ({"pk": "hidden"}, MINE),
    "submission-sweep": ({"pk": "hidden"}, MINE),
    "submission-merge": ({"pk": "hidden"}, (SIGN_IN, 404, 404, 404)),  # nothing was swept
    "submission-soup": ({"pk": "hidden"}, (SIGN_IN, 404, 404, 404)),  # nothing was tuned from it
    "submission-file": ({"pk": "hidden", "name": "none"}, (SIGN_IN, 404, 404, 404)),
    "suggest": ({}, SIGNED_IN),
    "suggestion": ({"pk": "suggestion"}, OWN_SECRET),
    "suggestion-csv": ({"pk": "suggestion"}, OWN_SECRET),
    "suggestion-labels": ({"pk": "suggestion"}, OWN_SECRET),
    "account": ({}, SIGNED_IN),
    "tokens": ({}, SIGNED_IN),
    "token-revoke": ({"pk": 1}, (SIGN_IN, 405, 405, 405)),
    "organise": ({}, STAFF),
    "organise-queue": ({"queue": "evaluate", "act": "pause"}, STAFF),
    "organise-cancel": ({"pk": "evaluation"}, STAFF),
    "organise-retry": ({"pk": "evaluation"}, STAFF),
    "organise-no-image": ({"pk": "hidden"}, STAFF),
    "organise-encoder": ({"slug": "strong"}, STAFF),
    "organise-studies": ({"release": "standing"}, STAFF),
    "healthz": ({}, EVERYONE),
    "metrics": ({}, (404, 404, 404, 404)),
    "schema": ({}, EVERYONE),
    "api-releases": ({}, EVERYONE),
    "api-release": ({"release": "standing"}, EVERYONE),
    "api-pack": ({"release": "standing", "split": "test"}, EVERYONE),
    "api-boards": ({"release": "standing"}, EVERYONE),
    "api-board": ({"release": "standing", "board": "overall"}, EVERYONE),
    "api-architectures": ({}, EVERYONE),
    "api-models": ({}, EVERYONE),
    "api-model": ({"slug": "secret"}, OWN_SECRET),
    "api-submissions": ({}, (401, 200, 200, 200)),
    "api-submission": ({"pk": "hidden"}, OWN_SECRET),
    "api-publish": ({"pk": "hidden"}, (401, 405, 405, 405)),
    "api-withdraw": ({"pk": "hidden"}, (401, 405, 405, 405)),
    "api-cancel": ({"pk": "hidden"}, (401, 405, 405, 405)),
    "api-gains": ({"release": "standing"}, EVERYONE),
    "api-efficiency": ({"release": "standing"}, EVERYONE),
    "api-strategies": ({"release": "standing"}, EVERYONE),
    "api-submission-efficiency": ({"pk": "hidden"}, OWN_SECRET),
    "api-lineage": ({"pk": "hidden"}, OWN_SECRET),
    "api-base": ({"pk": "hidden"}, (401, 405, 405, 405)),
    "api-sweep": ({"pk": "hidden"}, (401, 405, 405, 405)),
    "api-merge": ({"pk": "hidden"}, (401, 405, 405, 405)),
    "api-soups": ({}, (401, 405, 405, 405)),
    "api-forgetting": ({"pk": "hidden"}, (404, 404, 404, 404)),
    "api-interpolation": ({"pk": "hidden"}, (404, 404, 404, 404)),
    "api-file": ({"pk": "hidden", "name": "none"}, (401, 404, 404, 404)),
    "api-unknown": ({}, (404, 404, 404, 404)),
}
# Third parties' pages, tested by them: accounts, Django's tables, RQ's dashboard.
FOREIGN = ("account_", "admin:", "django_rq", "prometheus")


def names(resolver: URLResolver, prefix: str = "") -> list[str]:
    found = []
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix
            found += names(pattern, inner)
        elif isinstance(pattern, URLPattern) and pattern.name:
            found.append(f"{prefix}{pattern.name}")
    return found


def test_every_address_has_a_row():
    ours = {name for name in names(get_resolver()) if not name.startswith(FOREIGN)}
    assert ours == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_address(name, standing):
    from django.urls import reverse

    arguments, expected = RULES[name]
    places = {
        "hidden": standing.hidden.pk, "evaluation": standing.hidden.evaluations.first().pk,
        "suggestion": make_suggestion(standing.owner).pk,
    }  # fmt: skip
    address = reverse(name, kwargs={key: places.get(value, value) for key, value in arguments.items()})
    answers = []
    for user in (None, standing.stranger, standing.owner, standing.staff):
        client = Client()
        if user:
            client.force_login(user)
        answer = client.get(address)
        away = answer.status_code == 302 and answer["Location"].startswith("/account/login/")
        answers.append(SIGN_IN if away else answer.status_code)
    assert tuple(answers) == expected


@pytest.mark.parametrize("act", ["publish", "withdraw", "cancel", "sweep", "merge"])
def test_a_stranger_can_act_on_no_submission_by_post(act, standing):
    for submission in (standing.hidden, standing.published):
        for address in (f"/submissions/{submission.pk}/{act}/", f"/api/v1/submissions/{submission.pk}/{act}/"):
            client = Client()
            client.force_login(standing.stranger)
            assert client.post(address).status_code == (404 if submission is standing.hidden else 403)
            assert Client().post(address).status_code in (302, 401)


def test_forms_refuse_a_post_without_their_token(standing):
    client = Client(enforce_csrf_checks=True)
    client.force_login(standing.owner)
    answer = client.post(f"/submissions/{standing.hidden.pk}/withdraw/")
    assert answer.status_code == 403 and "form could not be accepted" in answer.content.decode()
    standing.hidden.refresh_from_db()
    assert standing.hidden.state == "accepted"


def test_sealed_packs_are_nowhere(standing):
    for split in ("sealed", "nope", "..%2Fkeys%2Ftest"):
        assert Client().get(f"/releases/standing/packs/{split}.zip").status_code == 404
        assert Client().get(f"/api/v1/releases/standing/packs/{split}.zip").status_code == 404


def test_others_see_of_a_submission_only_what_was_published(standing):
    page = Client().get(f"/submissions/{standing.published.pk}/").content.decode()
    assert "Report, test split" in page and standing.published.file_sha256 in page
    assert standing.published.file_name not in page and "log" not in page.lower().split("<main", 1)[1]
    answer = Client().get(f"/api/v1/submissions/{standing.published.pk}/").json()
    assert set(answer["reports"]) == {"dev", "test", "sealed"} and "problems" not in answer

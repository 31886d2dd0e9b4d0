"""Bases, analyses and merges over the API: documents as they are, refusals in one shape, nothing of another's."""

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from knox.models import AuthToken

from leaderboard.lineage import links
from leaderboard.models import Analysis, BaseLink, Submission
from leaderboard.workers.drain import drain
from tests.builders.entries import make_answered
from tests.builders.leaderboard import make_model
from tests.builders.system import tiny_weights
from tests.builders.weights import TINY

pytestmark = pytest.mark.django_db


def client_of(user) -> Client:
    _, text = AuthToken.objects.create(user, expiry=timedelta(days=1))
    return Client(headers={"authorization": f"Token {text}"}, raise_request_exception=True)


def address(submission, what="") -> str:
    return f"/api/v1/submissions/{submission.pk}/{what}"


def codes(answer) -> list[str]:
    return [error["code"] for error in answer.json()["errors"]]


@pytest.fixture(scope="module")
def pair(standing, django_db_blocker):
    """`tuned` of the owner on the published `strong`; both scored on test. Stands as long as the board."""
    with django_db_blocker.unblock():
        tuned = make_answered(make_model(standing.owner, "tuned"), standing.release, skill=0.4, seed=11)
        links.declare(tuned, "strong", [], by=standing.owner)
        drain("score")
        return standing.published, tuned


def test_a_submission_names_base_and_target_when_it_comes_in(standing):
    value = next(iter(standing.release.summary["test"]["facets"]["modality"]))
    fields = {
        "kind": "checkpoint", "release": standing.release.slug, "model": "new", "architecture": TINY, "base": "strong",
        "target": f"modality={value}", "file": SimpleUploadedFile("new.safetensors", tiny_weights().read_bytes()),
    }  # fmt: skip
    answer = client_of(standing.owner).post("/api/v1/submissions/", fields)
    assert answer.status_code == 201, answer.content
    link = BaseLink.objects.get(submission=answer.json()["id"])
    assert (link.model.slug, link.base, link.target) == ("strong", standing.published, [f"modality={value}"])
    found = client_of(standing.owner).get(f"/api/v1/submissions/{link.submission_id}/lineage/").json()
    assert found["link"]["submission"] == str(standing.published.pk) and not found["link"]["after_scores"]


def test_what_is_wrong_with_base_and_target_is_said_beside_all_else(standing):
    fields = {
        "kind": "checkpoint", "release": standing.release.slug, "model": "new", "architecture": "none-such",
        "base": "nobody", "target": ["modality=x-ray"], "publish": "true", "kept_private": "true",
        "file": SimpleUploadedFile("new.safetensors", tiny_weights().read_bytes()),
    }  # fmt: skip
    answer = client_of(standing.owner).post("/api/v1/submissions/", fields)
    assert answer.status_code == 400
    assert {"unknown_base", "target_unknown_value", "kept_private", "unknown_architecture"} <= set(codes(answer))
    assert not Submission.objects.filter(model__slug="new").exists()


def test_the_documents_are_the_ones_stored(pair, standing):
    tuned = pair[1]
    stored = Analysis.objects.get(link__submission=tuned, split="test")
    for client in (client_of(standing.owner), Client()):  # both are published
        assert client.get(address(tuned, "forgetting/")).json() == stored.document
        assert client.get(address(tuned, "forgetting/?split=test")).json() == stored.document
        assert client.get(address(tuned, "forgetting/?split=dev")).status_code == 404
        assert client.get(address(tuned, "interpolation/")).status_code == 404
    answer = Client().get(f"/api/v1/releases/{standing.release.slug}/forgetting/")
    assert answer.status_code == 200 and answer.json() == []  # no target, so no gain in one


def test_naming_a_base_again_keeps_the_earlier_word(pair, standing):
    client, tuned = client_of(standing.owner), pair[1]
    answer = client.put(address(tuned, "base/"), {"base": "weak"}, content_type="application/json")
    assert answer.status_code == 200, answer.content
    assert answer.json()["link"]["model"] == "weak" and answer.json()["link"]["after_scores"]
    assert [each["model"] for each in answer.json()["history"]] == ["strong"]
    refused = client.put(address(tuned, "base/"), {"base": "nobody"}, content_type="application/json")
    assert refused.status_code == 400 and codes(refused) == ["unknown_base"]


def test_strangers_read_and_change_nothing(pair, standing):
    client, tuned = client_of(standing.stranger), pair[1]
    put = client.put(address(tuned, "base/"), {"base": "weak"}, content_type="application/json")
    sweep, merge = client.post(address(tuned, "sweep/")), client.post(address(tuned, "merge/"), {"alpha": 0.5})
    assert [answer.status_code for answer in (put, sweep, merge)] == [403] * 3
    assert client.get(address(standing.hidden, "lineage/")).status_code == 404
    found = client.get(address(tuned, "lineage/")).json()
    assert found["sweep"] is None and found["suggestions"] == [] and found["kinship"] is None


def test_a_sweep_of_answers_without_weights_is_refused_in_words(pair, standing):
    """make_answered gives answers alone: the submission has no file, but it is a checkpoint, so it is queued; a
    prediction file is refused."""
    client = client_of(standing.owner)
    file = make_answered(
        make_model(standing.owner, "a-file"), standing.release, kind="predictions", split="test", seed=12
    )  # fmt: skip
    links.declare(file, "strong", [], by=standing.owner)
    refused = client.post(address(file, "sweep/"))
    assert refused.status_code == 400 and codes(refused) == ["not_a_checkpoint"]
    assert codes(client.post(address(standing.hidden, "sweep/"))) == ["no_base"]
    answer = client.post(address(pair[1], "sweep/"))
    assert answer.status_code == 202 and answer.json()["state"] == "queued"


def test_a_file_is_its_owners_alone(standing, pair):
    client = client_of(standing.owner)
    assert client.get(address(pair[1], "files/nothing.safetensors")).status_code == 404
    assert client_of(standing.stranger).get(address(pair[1], "files/x")).status_code == 403

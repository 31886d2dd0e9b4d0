"""Submitting and reading over the API: one error shape, nothing twice, nothing that is another's."""

import hashlib
import json
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.utils import override_settings
from knox.models import AuthToken

from leaderboard.models import Submission
from tests.builders.leaderboard import make_evaluation, make_model, make_release, make_submission, make_user
from tests.builders.system import tiny_weights
from tests.builders.weights import TINY, tiny_state, write_shards

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/submissions/"


@pytest.fixture
def owner():
    return make_user("ada")


@pytest.fixture
def release(db):
    return make_release("tiny", summary={split: {"tasks": [], "facets": {}} for split in ("dev", "test", "sealed")})


@pytest.fixture
def client(owner):
    _, text = AuthToken.objects.create(owner, expiry=timedelta(days=1))
    return Client(headers={"authorization": f"Token {text}"}, raise_request_exception=True)


def checkpoint(**fields):
    file = SimpleUploadedFile("mine.safetensors", tiny_weights().read_bytes())
    return {"kind": "checkpoint", "release": "tiny", "model": "mine", "architecture": TINY, "file": file} | fields


def refusal(answer, status):
    """The body of a refusal, of which the shape is asserted."""
    assert answer.status_code == status, answer.content
    body = json.loads(answer.content)
    assert set(body) == {"code", "message", "errors"} and body["code"] and body["message"]
    for error in body["errors"]:
        assert {"code", "message"} <= set(error) <= {"code", "message", "field", "row"}
    return body


def test_a_checkpoint_is_created_and_can_be_followed(client, release):
    answer = client.post(ADDRESS, checkpoint(publish="true"))
    assert answer.status_code == 201, answer.content
    submission = Submission.objects.get()
    assert answer["Location"] == f"{ADDRESS}{submission.pk}/"
    assert answer.json() == {"id": str(submission.pk), "state": "uploaded"}
    assert submission.publish and submission.target == []
    read = client.get(answer["Location"]).json()
    assert (read["state"], read["submission_state"], read["model"]) == ("uploaded", "uploaded", "mine")
    assert [event["state"] for event in read["events"]] == ["uploaded"]
    assert client.get(ADDRESS).json()["results"][0]["state"] == "uploaded"


def test_the_same_idempotency_key_makes_one_submission(client, release):
    headers = {"idempotency-key": "run-7"}
    first, second = (client.post(ADDRESS, checkpoint(), headers=headers) for _ in range(2))
    assert first.json()["id"] == second.json()["id"] and Submission.objects.count() == 1
    body = refusal(client.post(ADDRESS, checkpoint(model="other"), headers=headers), 400)
    assert body["code"] == "idempotency_key_reused" and body["errors"][0]["field"] == "Idempotency-Key"
    refusal(client.post(ADDRESS, checkpoint(), headers={"idempotency-key": "k" * 121}), 400)


@pytest.fixture
def shards(tmp_path):
    """Name → content of three shards and their index."""
    write_shards(tiny_state(), tmp_path)
    return {path.name: path.read_bytes() for path in tmp_path.glob("model*")}


def uploads(files):
    return {"file": [SimpleUploadedFile(name, content) for name, content in files.items()]}


def test_shards_and_their_index_are_one_submission(client, release, shards):
    headers = {"idempotency-key": "run-8"}
    answers = [client.post(ADDRESS, checkpoint(**uploads(shards)), headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].content
    submission = Submission.objects.get()
    assert submission.file_name == "model.safetensors.index.json"
    assert submission.file_size == sum(map(len, shards.values()))
    read = client.get(answers[0]["Location"]).json()
    assert {file["name"]: file["size"] for file in read["files"]} == {name: len(shards[name]) for name in shards}
    lines = [f"{name} {hashlib.sha256(shards[name]).hexdigest()}\n" for name in sorted(shards)]
    assert read["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    other = shards | {"model.safetensors.index.json": shards["model.safetensors.index.json"] + b"\n"}
    body = refusal(client.post(ADDRESS, checkpoint(**uploads(other)), headers=headers), 400)
    assert body["code"] == "idempotency_key_reused"


def test_wrong_sets_are_refused(client, release, shards, settings):
    def codes(files):
        body = refusal(client.post(ADDRESS, checkpoint(**uploads(files))), 400)
        return {error["code"] for error in body["errors"]}

    def without(name):
        return {each: content for each, content in shards.items() if each != name}

    assert codes(without("model-00002-of-00003.safetensors")) == {"missing_shard"}
    assert codes(without("model.safetensors.index.json")) == {"index_missing"}
    assert codes({"model.safetensors.index.json": b"{}"}) == {"index_keys"}
    assert codes(shards | {"config.json": b"{}"}) == {"file_kind"}
    assert "too_many_files" in codes({f"{n}.safetensors": b"x" for n in range(65)})
    twice = [SimpleUploadedFile("mine.safetensors", tiny_weights().read_bytes()) for _ in range(2)]
    body = refusal(client.post(ADDRESS, checkpoint(file=twice)), 400)
    assert "file_twice" in {error["code"] for error in body["errors"]}
    settings.MAX_UPLOAD_BYTES = sum(map(len, shards.values())) - 1  # each alone would do
    body = refusal(client.post(ADDRESS, checkpoint(**uploads(shards))), 413)
    assert [error["code"] for error in body["errors"]] == ["file_too_large"]
    assert not Submission.objects.exists()


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"kind": "nope"}, 400, "kind"),
        ({"kind": "baseline"}, 400, "kind"),
        ({"model": "Bad Name"}, 400, "model"),
        ({"model": "baseline-chance"}, 400, "model"),
        ({"model": "x\x00y"}, 400, "model"),
        ({"architecture": "nope"}, 400, "architecture"),
        ({"file": SimpleUploadedFile("mine.safetensors", b"")}, 400, "file"),
        ({"sha256": "0" * 64}, 400, "sha256"),
        ({"target": "colour=red"}, 400, "target"),
        ({"publish": "perhaps"}, 400, "publish"),
        ({"release": "nope"}, 404, None),
        ({"model": "theirs"}, 403, None),
    ],
)
def test_each_refusal_names_its_field(client, release, changes, status, field):
    make_model(make_user(), "theirs")
    body = refusal(client.post(ADDRESS, checkpoint(**changes)), status)
    assert field is None or field in [error["field"] for error in body["errors"]]
    assert not Submission.objects.exists()


def test_all_problems_come_at_once(client, release):
    body = refusal(client.post(ADDRESS, checkpoint(model="Bad", architecture="nope", base="nobody")), 400)
    assert {error["field"] for error in body["errors"]} == {"model", "architecture", "base"}


def test_requests_that_are_none(client, release):
    refusal(client.post(ADDRESS, {"file": ""}), 400)
    refusal(client.post(ADDRESS, "{}", content_type="application/json"), 415)
    refusal(client.post(ADDRESS, b"\x00broken", content_type="multipart/form-data"), 400)
    refusal(client.post(ADDRESS, b"--x\r\nbroken", content_type="multipart/form-data; boundary=x"), 400)
    refusal(client.post(ADDRESS, checkpoint(model="m" * 3_000_000)), 413)
    refusal(client.delete(ADDRESS), 405)
    refusal(client.get("/api/v1/nope/"), 404)
    refusal(client.post("/api/v1/nope/"), 404)
    refusal(client.get(f"{ADDRESS}00000000-0000-0000-0000-000000000000/"), 404)
    refusal(client.get(ADDRESS, headers={"accept": "text/html"}), 406)
    refusal(Client().post(ADDRESS, checkpoint()), 401)
    refusal(Client(headers={"authorization": "Token wrong"}).get(ADDRESS), 401)
    refusal(Client(headers={"authorization": "Token"}).get("/api/v1/releases/"), 401)


def test_a_file_over_the_limit(client, release, settings):
    settings.MAX_UPLOAD_BYTES = 1_000
    assert refusal(client.post(ADDRESS, checkpoint()), 413)["code"] == "file_too_large"


def test_a_spent_quota_says_when_to_come_again(client, release, settings):
    settings.SUBMISSIONS_PER_DAY = 1
    client.post(ADDRESS, checkpoint())
    answer = client.post(ADDRESS, checkpoint(model="other"))
    assert refusal(answer, 429)["code"] == "quota_exceeded" and answer["Retry-After"].endswith("GMT")


def test_acts(client, owner, release):
    submission = make_submission(owner, release)
    make_evaluation(submission)
    assert client.post(f"{ADDRESS}{submission.pk}/cancel/").json()["state"] == "cancelled"
    assert client.post(f"{ADDRESS}{submission.pk}/withdraw/").json()["state"] == "withdrawn"
    refusal(client.post(f"{ADDRESS}{submission.pk}/withdraw/"), 409)


def test_the_owner_reads_failures_and_problems_and_nobody_else(client, owner, release):
    submission = make_submission(owner, release)
    make_evaluation(submission, "failed", failure_message="the weights gave NaN", worker="evaluate-host-1")
    read = client.get(f"{ADDRESS}{submission.pk}/").json()
    assert read["state"] == "failed" and read["evaluations"][0]["failure"] == "the weights gave NaN"
    assert "evaluate-host-1" not in json.dumps(read)
    rejected = make_submission(owner, release, "rejected", problems=[{"code": "x", "message": "y", "row": 3}],
                               problem_counts={"x": 1})  # fmt: skip
    assert client.get(f"{ADDRESS}{rejected.pk}/").json()["problems"][0]["row"] == 3


def test_too_many_requests(release):
    from django.core.cache import cache
    from rest_framework.throttling import AnonRateThrottle

    cache.clear()
    with override_settings(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnonRateThrottle, "THROTTLE_RATES", {"anon": "2/min"})
        codes = [Client().get("/api/v1/releases/").status_code for _ in range(3)]
        answer = Client().get("/api/v1/releases/")
    assert codes == [200, 200, 429] and refusal(answer, 429)["code"] == "throttled" and answer["Retry-After"]

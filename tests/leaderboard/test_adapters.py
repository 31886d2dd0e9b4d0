"""LoRA adapters on the server: from two files and a base's name to the answers of the merged checkpoint."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from knox.models import AuthToken

from evaluator.answers import read_answers
from evaluator.architectures.folders import ENVIRONMENT
from evaluator.architectures.registry import OWN_CONFIGS
from evaluator.errors import InputError
from leaderboard import outcomes, publication, rescoring, storage, submissions
from leaderboard.intake import NewSubmission
from leaderboard.models import Entry, Report, Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.queue import Queue
from leaderboard.states import EvaluationState, SubmissionState
from leaderboard.uploads import received_from
from leaderboard.workers.drain import drain
from tests.builders.adapters import lora_state, merged_slowly, write_adapter
from tests.builders.families import write_json
from tests.builders.leaderboard import make_evaluation, make_model, make_release, make_submission, make_user
from tests.builders.system import import_tiny_release, tiny_hub, tiny_weights
from tests.builders.weights import TINY, tiny_state, write_state

ADDRESS = "/api/v1/submissions/"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture
def owner():
    return make_user("ada")


@pytest.fixture
def client(owner):
    _, token = AuthToken.objects.create(owner, expiry=timedelta(days=1))
    return Client(headers={"authorization": f"Token {token}"})


@pytest.fixture
def adapter(tmp_path):
    """The files of an adapter on `tiny_weights()`."""
    path = write_adapter(tmp_path / "adapter", lora_state(tiny_state(0)))
    return {file.name: file for file in path.parent.iterdir()}


def fields(adapter, **changes):
    files = [SimpleUploadedFile(name, path.read_bytes()) for name, path in adapter.items()]
    return {"kind": "checkpoint", "release": "tiny", "model": "lora", "architecture": TINY, "file": files} | changes


def refused(answer):
    assert answer.status_code == 400, answer.content
    return {(error["code"], error.get("field")) for error in answer.json()["errors"]}


def checkpoint(owner, release, path, model):
    new = NewSubmission(
        release=release, model=model, kind=SubmissionKind.CHECKPOINT, files=(received_from(path),), architecture=TINY
    )
    return submissions.submit(owner, new)


def scoreless(evaluation):
    """The answers without their scores, which the order of sums moves by some 1e-7."""
    with storage.local_path(evaluation.answers_sha256) as path:
        return read_answers(path).drop(["scores"])


@pytest.mark.django_db(transaction=True)
class TestPath:
    """With workers and sandboxed children."""

    @pytest.fixture
    def release(self, tmp_path, settings, services):
        settings.RELEASE_ROOT, settings.KEY_ROOT = tmp_path / "releases", tmp_path / "keys"
        return import_tiny_release(hub=tiny_hub(("dev", "test")))

    def test_adapter_answers_as_the_merged_checkpoint_and_outlives_its_base(
        self, release, owner, client, adapter, tmp_path
    ):
        base = checkpoint(owner, release, tiny_weights(), "base")
        merged_state = merged_slowly(tiny_state(0), lora_state(tiny_state(0)))
        merged = checkpoint(owner, release, write_state(merged_state, tmp_path / "merged.safetensors"), "merged")
        assert drain(Queue.VALIDATE) == 2
        sent = client.post(ADDRESS, fields(adapter, base=str(base.pk), publish="true"))
        assert sent.status_code == 201, sent.content
        found = Submission.objects.get(pk=sent.json()["id"])
        assert (found.base_submission, found.base.slug, found.file_name) == (base, "base", WEIGHTS)
        drain(Queue.VALIDATE)
        found.refresh_from_db()
        assert found.state == SubmissionState.ACCEPTED, found.problems
        assert found.facts["base"] == {"submission": str(base.pk), "sha256": base.file_sha256}
        assert found.facts["adapter"]["adapted_tensors"] == 6 and found.facts["adapter"]["scaling"] == [2.0]
        assert found.facts["sha256"] != found.file_sha256  # the base is part of what answers

        base.refresh_from_db()
        submissions.withdraw(base, by=owner)  # what was taken in on it goes on
        assert drain(Queue.EVALUATE) == 4
        for split in ("dev", "test"):
            own, whole = (each.evaluations.get(split=split) for each in (found, merged))
            assert own.state == EvaluationState.ANSWERED, own.failure_message
            assert scoreless(own).equals(scoreless(whole))
            weights = own.run["weights"]
            assert weights["base"] == found.facts["base"] and weights["adapter"] == found.facts["adapter"]
            assert weights["sha256"] == found.facts["sha256"]
        drain(Queue.SCORE)
        assert Entry.objects.filter(submission=found, superseded_at=None).count() == 2
        assert not rescoring.stale_evaluations().exists()
        read = client.get(f"{ADDRESS}{found.pk}/").json()
        assert read["facts"]["base"] == found.facts["base"] and read["reports"]
        stranger = Client().get(f"{ADDRESS}{found.pk}/").json()  # the base was never published: its id is not told
        assert stranger["facts"]["base"] == {"sha256": base.file_sha256}
        for reader, shown in ((client, True), (Client(), False)):
            reader.force_login(owner) if shown else None
            page = reader.get(f"/submissions/{found.pk}/").content.decode()
            assert (str(base.pk) in page) == shown and base.file_sha256 in page
        refused_now = client.post(ADDRESS, fields(adapter, base=str(base.pk)))
        assert refused(refused_now) == {("base_not_accepted", "base")}

    def test_adapter_of_another_base_is_rejected_by_the_sandboxed_check(self, release, owner, client, tmp_path):
        base = checkpoint(owner, release, tiny_weights(), "base")
        drain(Queue.VALIDATE)
        pairs = lora_state(tiny_state(0))
        deeper = {name.replace("resblocks.0", "resblocks.31"): tensor for name, tensor in pairs.items()}
        path = write_adapter(tmp_path / "other", deeper)
        sent = client.post(ADDRESS, fields({file.name: file for file in path.parent.iterdir()}, base=str(base.pk)))
        assert sent.status_code == 201, sent.content
        drain(Queue.VALIDATE)
        found = Submission.objects.get(pk=sent.json()["id"])
        assert found.state == SubmissionState.REJECTED and found.problem_counts == {"adapter_other_base": 1}
        assert "resblocks.31" in found.problems[0]["message"]
        assert not hasattr(found, "quota_slot")

    def test_adapter_on_weights_of_the_registry(self, release, owner, client, adapter, tmp_path, monkeypatch, settings):
        folder = place_architecture(tmp_path, monkeypatch)
        sent = client.post(ADDRESS, fields(adapter, architecture="placed", base="placed"))
        assert sent.status_code == 201, sent.content
        drain(Queue.VALIDATE)
        found = Submission.objects.get(pk=sent.json()["id"])
        assert found.state == SubmissionState.ACCEPTED, found.problems
        assert found.base_submission is None and found.base is None
        assert found.facts["base"]["architecture"] == "placed"
        (folder / "model.safetensors").write_bytes(tiny_weights(1).read_bytes())
        drain(Queue.EVALUATE)
        states = {each.split: (each.state, each.failure_code) for each in found.evaluations.all()}
        assert states == dict.fromkeys(("dev", "test"), (EvaluationState.FAILED, "base_changed"))
        (folder / "model.safetensors").write_bytes(tiny_weights(0).read_bytes())
        staff = make_user(is_staff=True)
        again = submissions.retry_evaluation(found.evaluations.get(split="dev"), by=staff)
        drain(Queue.EVALUATE)
        again.refresh_from_db()
        assert again.state == EvaluationState.ANSWERED, again.failure_message
        assert again.run["weights"]["base"] == found.facts["base"]
        (folder / "model.safetensors").unlink()
        gone = submissions.retry_evaluation(found.evaluations.get(split="test"), by=staff)
        drain(Queue.EVALUATE)
        gone.refresh_from_db()
        assert (gone.state, gone.failure_code) == (EvaluationState.FAILED, "base_gone")


def place_architecture(tmp_path, monkeypatch):
    """The tiny architecture as organisers place one, called `placed`, with weights of its own."""
    folder = tmp_path / "architectures" / "placed"
    folder.mkdir(parents=True)
    write_json(folder / "architecture.json", {"family": "contrastive", "library": "open_clip", "parameters": 1})
    (folder / "open_clip_config.json").write_bytes((OWN_CONFIGS / f"{TINY}.json").read_bytes())
    (folder / "model.safetensors").write_bytes(tiny_weights(0).read_bytes())
    monkeypatch.setenv(ENVIRONMENT, str(folder.parent))
    return folder


@pytest.fixture
def tiny(db):
    return make_release("tiny")


def accepted(owner, release, **changes):
    return make_submission(owner, release, **({"architecture": TINY, "files": [{"name": "a.safetensors"}]} | changes))


@pytest.mark.django_db
class TestDoor:
    """What the web says at once."""

    def test_a_base_must_be_named_and_usable(self, client, owner, tiny, adapter, tmp_path, monkeypatch):
        mine, stranger = accepted(owner, tiny), make_user("eve")
        hidden = accepted(stranger, tiny)
        stacked = accepted(owner, tiny, files=[{"name": CONFIG}, {"name": WEIGHTS}], base_submission=mine)
        for base, code in (
            ("", "base_missing"),
            ("no-such-model", "unknown_base"),
            (TINY, "unknown_base"),  # a built-in architecture has no weights of its own
            (str(uuid4()), "unknown_base"),
            (str(hidden.pk), "unknown_base"),
            (make_model(owner, "my-model").slug, "unknown_base"),
            (str(accepted(owner, tiny, architecture="ViT-B-32").pk), "base_other_architecture"),
            (str(accepted(owner, tiny, kind="predictions").pk), "base_not_checkpoint"),
            (str(accepted(owner, tiny, state="validating").pk), "base_not_accepted"),
            (str(accepted(owner, tiny, state="withdrawn").pk), "base_not_accepted"),
            (str(stacked.pk), "base_is_adapter"),
        ):
            assert refused(client.post(ADDRESS, fields(adapter, base=base))) == {(code, "base")}, base
        messages = [
            client.post(ADDRESS, fields(adapter, base=base)).json()["errors"][0]["message"].replace(base, "ID")
            for base in (str(uuid4()), str(hidden.pk))
        ]
        assert messages[0] == messages[1]  # an unpublished submission of another is not told from none
        assert client.post(ADDRESS, fields(adapter, base=str(mine.pk))).status_code == 201
        place_architecture(tmp_path, monkeypatch)
        missing = client.post(ADDRESS, fields(adapter, architecture="placed"))
        assert "or placed for the registry's own weights" in missing.json()["errors"][0]["message"]

    def test_a_published_checkpoint_of_another_can_be_a_base_until_it_is_withdrawn(self, client, tiny, adapter):
        stranger = make_user("eve")
        theirs = accepted(stranger, tiny)
        assert refused(client.post(ADDRESS, fields(adapter, base=str(theirs.pk)))) == {("unknown_base", "base")}
        evaluation = make_evaluation(theirs, state=EvaluationState.SCORED, split="dev")
        Report.objects.create(
            evaluation=evaluation, key_revision=tiny.key_revision, scorer="1", document={}, sha256=""
        )  # fmt: skip
        publication.publish_all(theirs, by=stranger)
        assert client.post(ADDRESS, fields(adapter, base=str(theirs.pk))).status_code == 201
        submissions.withdraw(theirs, by=stranger)
        assert refused(client.post(ADDRESS, fields(adapter, base=str(theirs.pk)))) == {("base_not_accepted", "base")}

    def test_both_files_are_read_at_once(self, client, tiny, adapter):
        broken = fields({CONFIG: adapter[CONFIG]}, base="x")
        broken["file"].append(SimpleUploadedFile("README.md", b"# mine"))
        assert refused(client.post(ADDRESS, broken)) == {
            ("unknown_base", "base"), ("adapter_weights_missing", "file"), ("file_kind", "file"),
        }  # fmt: skip
        adapter[CONFIG].write_text(adapter[CONFIG].read_text().replace('"use_dora": false', '"use_dora": true'))
        answer = client.post(ADDRESS, fields(adapter, base="x", architecture="nope"))
        assert refused(answer) == {
            ("unknown_base", "base"), ("unknown_architecture", "architecture"), ("adapter_unsupported", "file"),
        }  # fmt: skip
        assert "DoRA (use_dora)" in answer.content.decode()
        assert not Submission.objects.exists()

    def test_the_same_request_with_another_base_is_another(self, client, owner, tiny, adapter):
        one, other = accepted(owner, tiny), accepted(owner, tiny)
        headers = {"idempotency-key": "k"}
        made = [client.post(ADDRESS, fields(adapter, base=str(one.pk)), headers=headers) for _ in range(2)]
        assert made[0].json()["id"] == made[1].json()["id"]
        again = client.post(ADDRESS, fields(adapter, base=str(other.pk)), headers=headers)
        assert again.json()["code"] == "idempotency_key_reused"

    def test_the_form_asks_for_a_base_and_says_what_is_wrong_beside_it(self, client, owner, tiny, adapter):
        client.force_login(owner)
        mine = accepted(owner, tiny)
        page = client.get("/submit/").content.decode()
        assert "<details" in page and "For a LoRA adapter" in page and f'<option value="{mine.pk}">' in page
        missing = client.post("/submit/", fields(adapter)).content.decode()
        assert missing.count("An adapter changes other weights") == 2  # on top, and at the field, which stands open
        assert '<details class="fold" open><summary>For a LoRA adapter' in missing
        whole = {"mine.safetensors": tiny_weights()}
        stray = client.post("/submit/", fields(whole, adapter_base=str(mine.pk))).content.decode()
        assert stray.count("Only an adapter has one") == 2
        both = client.post("/submit/", fields(adapter, adapter_base=str(mine.pk), base="x")).content.decode()
        assert both.count("fine-tuned from the base that it stands on") == 2
        sent = client.post("/submit/", fields(adapter, adapter_base=f" {mine.pk} "))
        assert sent.status_code == 302
        made = Submission.objects.latest("created_at")
        assert made.base_submission == mine and made.base == mine.model
        Submission.objects.filter(pk=made.pk).update(state=SubmissionState.VALIDATING)
        outcomes.reject(Submission.objects.get(pk=made.pk), InputError.single("adapter_other_base", "Name another."))
        page = client.get(sent["Location"]).content.decode()
        assert f"&amp;adapter_base={mine.pk}" in page and "&amp;base=" not in page  # the way back to the form

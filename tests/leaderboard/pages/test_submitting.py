"""Forms and submission pages: every problem at once, what was rejected can be fixed, tokens are shown once."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from knox.models import AuthToken

from evaluator.errors import InputError, Problem
from leaderboard import outcomes, states, tokens
from leaderboard.models import Submission
from leaderboard.states import EvaluationState, SubmissionState
from tests.builders.leaderboard import make_evaluation, make_model, make_release, make_submission, make_user
from tests.builders.system import tiny_weights
from tests.builders.weights import TINY, tiny_state, write_shards

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return make_user("ada")


@pytest.fixture
def client(owner):
    client = Client()
    client.force_login(owner)
    return client


@pytest.fixture
def release(db):
    return make_release("tiny")


def checkpoint(**fields):
    file = SimpleUploadedFile("mine.safetensors", tiny_weights().read_bytes())
    return {"kind": "checkpoint", "release": "tiny", "model": "mine", "architecture": TINY, "file": file} | fields


def test_a_checkpoint_goes_in_by_the_form(client, release):
    answer = client.post("/submit/", checkpoint())
    submission = Submission.objects.get()
    assert answer.status_code == 302 and answer["Location"] == f"/submissions/{submission.pk}/"
    assert (submission.kind, submission.state, submission.publish) == ("checkpoint", "uploaded", False)
    assert "waiting to be checked" in client.get(answer["Location"]).content.decode()


def test_shards_go_in_by_the_form(client, release, tmp_path):
    assert 'type="file" name="file" multiple' in client.get("/submit/").content.decode()
    write_shards(tiny_state(), tmp_path)
    files = [SimpleUploadedFile(path.name, path.read_bytes()) for path in sorted(tmp_path.glob("model*"))]
    assert "shards that the index names are missing" in client.post(
        "/submit/", checkpoint(file=[files[0], files[-1]])
    ).content.decode().replace("\n", " ")
    for file in files:
        file.seek(0)
    answer = client.post("/submit/", checkpoint(file=files))
    assert answer.status_code == 302
    page = client.get(answer["Location"]).content.decode()
    assert "model.safetensors.index.json" in page and "4 files" in page


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        ({"file": ""}, 400, "This field is required"),
        ({"file": SimpleUploadedFile("mine.safetensors", b"")}, 400, "is empty"),
        ({"file": SimpleUploadedFile("mine.safetensors", b"PK\x03\x04" + b"0" * 99)}, 400, "mine.safetensors"),
        ({"architecture": "nope"}, 400, "Select a valid choice"),
        ({"model": "Not A Slug"}, 400, "lower-case letters"),
        ({"base": "nobody-knows"}, 400, "nobody-knows&#x27; is known"),
        ({"model": "theirs"}, 403, "another author"),
        ({"release": "nope"}, 400, "Select a valid choice"),
    ],
)
def test_every_refusal_stands_beside_its_field_and_on_top(client, release, changes, status, sentence):
    make_model(make_user(), "theirs")
    answer = client.post("/submit/", checkpoint(**changes))
    page = answer.content.decode()
    assert answer.status_code == status and not Submission.objects.exists()
    if sentence != "mine.safetensors":
        assert page.count(sentence) >= 2  # in the summary and at the field
    assert 'class="summary" role="alert"' in page and 'aria-invalid="true"' in page


def test_all_problems_are_told_at_once(client, release):
    page = client.post("/submit/", checkpoint(base="nobody", model="Bad Name")).content.decode()
    assert "2 things to put right" in page


def test_a_spent_quota_says_when_the_next_is_allowed(client, release, settings):
    settings.SUBMISSIONS_PER_DAY = 1
    assert client.post("/submit/", checkpoint()).status_code == 302
    answer = client.post("/submit/", checkpoint(model="other"))
    assert answer.status_code == 429 and "next one is allowed at" in answer.content.decode()
    assert "used your 1 submissions of today" in client.get("/submit/").content.decode()


def test_a_rejected_file_shows_its_problems_and_the_way_back(client, owner, release):
    submission = make_submission(owner, release, SubmissionState.VALIDATING, kind="predictions", split="test")
    problems = [Problem(code="unknown_id", message=f"No question x{i}.", row=i) for i in range(1, 61)]
    outcomes.reject(submission, InputError(problems, {"unknown_id": 1_200}))
    page = client.get(f"/submissions/{submission.pk}/").content.decode()
    assert "1\u202f200 problems to put right" in page and "The first 50 of 1\u202f200" in page
    assert f"/submit/?kind=predictions&amp;release=tiny&amp;model={submission.model.slug}&amp;split=test" in page
    assert len(client.get(f"/submissions/{submission.pk}/problems.csv").content.splitlines()) == 61
    form = client.get(f"/submit/?kind=predictions&model={submission.model.slug}&split=test").content.decode()
    assert f'value="{submission.model.slug}"' in form


def test_a_running_submission_shows_how_far_it_is_and_stops_asking_when_done(client, owner, release):
    submission = make_submission(owner, release)
    running = make_evaluation(
        submission, EvaluationState.RUNNING, split="dev",
        progress={"stage": "embedding images", "done": 120, "total": 400, "images_per_s": 85.3, "eta_s": 252},
    )  # fmt: skip
    make_evaluation(submission, split="test")
    page = client.get(f"/submissions/{submission.pk}/").content.decode()
    assert "120 of 400 · 85.3 images/s · 4 min 12 s left" in page and "Next in turn." in page
    assert 'hx-trigger="every 2s"' in page and '<noscript><meta http-equiv="refresh"' in page
    states.advance_evaluation(running, EvaluationState.FAILED, failure_message="the weights gave NaN")
    submission.evaluations.filter(split="test").update(state="cancelled")
    live = client.get(f"/submissions/{submission.pk}/live/")
    assert live["HX-Refresh"] == "true" and "hx-get" not in live.content.decode()
    assert "the weights gave NaN" in client.get(f"/submissions/{submission.pk}/").content.decode()


def test_cancel_asks_first_and_costs_nothing(client, owner, release):
    submission = make_submission(owner, release)
    make_evaluation(submission)
    address = f"/submissions/{submission.pk}/cancel/"
    assert client.get(address).status_code == 200
    assert submission.evaluations.get().state == "queued"
    client.post(address)
    assert submission.evaluations.get().state == "cancelled"


def test_an_act_that_came_too_late_is_a_page(client, owner, release):
    submission = make_submission(owner, release, SubmissionState.REJECTED)
    answer = client.post(f"/submissions/{submission.pk}/withdraw/")
    assert answer.status_code == 409 and "moved on" in answer.content.decode()


def test_a_token_is_shown_once_and_ends_when_revoked(client, owner):
    page = client.post("/account/tokens/", {"name": "cluster", "lives": "30"})
    text = page.context["created"]
    assert text in page.content.decode() and "no-cache" in page["Cache-Control"]
    assert text not in client.get("/account/tokens/").content.decode()
    as_token = {"headers": {"authorization": f"Token {text}"}}
    assert Client().get("/api/v1/submissions/", **as_token).status_code == 200
    label = tokens.owned_by(owner).get()
    assert AuthToken.objects.get().expiry is not None
    stranger = Client()
    stranger.force_login(make_user())
    assert stranger.post(f"/account/tokens/{label.pk}/revoke/").status_code == 404
    client.post(f"/account/tokens/{label.pk}/revoke/")
    assert Client().get("/api/v1/submissions/", **as_token).status_code == 401


def test_tokens_are_not_without_number(client, owner, monkeypatch):
    monkeypatch.setattr(tokens, "MOST_TOKENS", 1)
    client.post("/account/tokens/", {"name": "one", "lives": "30"})
    assert client.post("/account/tokens/", {"name": "two", "lives": "30"}).status_code == 400


def test_organisers_pause_resume_cancel_and_retry_with_an_audit_trail(owner, release):
    staff = Client()
    staff.force_login(make_user("organiser", is_staff=True))
    evaluation = make_evaluation(make_submission(owner, release))
    assert "Its workers finish what they hold" in staff.get("/organise/queues/evaluate/pause/").content.decode()
    staff.post("/organise/queues/evaluate/pause/")
    assert "paused" in staff.get("/organise/").content.decode()
    staff.post("/organise/queues/evaluate/resume/")
    staff.post(f"/organise/evaluations/{evaluation.pk}/cancel/")
    assert staff.post(f"/organise/evaluations/{evaluation.pk}/cancel/").status_code == 409
    staff.post(f"/organise/evaluations/{evaluation.pk}/retry/")
    page = staff.get("/organise/").content.decode()
    assert page.count("resumed") >= 1 and f"retry of {evaluation.pk}" in page
    assert [found.state for found in evaluation.submission.evaluations.all()] == ["cancelled", "queued"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_are_kept_and_never_lead_elsewhere(client, theme):
    answer = client.get(f"/colours/{theme}/?next=https://elsewhere.example/")
    assert answer["Location"] == "/" and client.cookies["theme"].value == theme
    assert f'data-theme="{theme}"' in client.get("/rules/").content.decode()


@pytest.mark.parametrize("address", ["/", "/rules/", "/models/", "/submit/", "/account/", "/account/tokens/",
                                     "/account/password/change/", "/account/email/", "/account/logout/"])  # fmt: skip
def test_pages_keep_to_the_content_security_policy(client, address):
    answer = client.get(address)
    page = answer.content.decode()
    assert answer.status_code == 200 and "script-src 'self'" in answer["Content-Security-Policy"]
    assert " style=" not in page and "<style" not in page and " onclick=" not in page
    for script in page.split("<script")[1:]:
        assert " src=" in script.split(">")[0] or 'type="application/json"' in script.split(">")[0]

"""Which images to label next, on the server: from the form through the queue to the list, and round after round."""

import csv
import io
import threading

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client

from evaluator.active_learning.names import Strategy
from evaluator.active_learning.suggesting.suggest import suggest
from evaluator.errors import EvaluationFailed
from evaluator.suggest.images.file import suggest_from_files
from leaderboard import storage, suggestions
from leaderboard.models import Suggestion, User
from leaderboard.models.suggestions import SuggestionState
from leaderboard.queue import reconciler
from leaderboard.workers import drain as drains
from leaderboard.workers import suggest as worker
from tests.builders.leaderboard import make_user
from tests.builders.suggestions import computed

pytestmark = pytest.mark.django_db

IDS = [f"plate/{place:02}.tif" for place in range(24)]
FEATURES = np.random.default_rng(0).normal(size=(24, 6)).astype(np.float32)


@pytest.fixture
def owner() -> User:
    return make_user("ada")


@pytest.fixture
def client(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def npz(**arrays: object) -> SimpleUploadedFile:
    file = io.BytesIO()
    np.savez(file, **({"id": np.array(IDS), "embedding": FEATURES} | arrays))  # type: ignore[arg-type]
    return SimpleUploadedFile("plate 7.npz", file.getvalue())


def labels(text: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("labels.csv", text.encode())


def ask(client: Client, **fields: object) -> Suggestion:
    form = {"embeddings": npz(), "count": 4, "strategy": "dropquery", "name": ""} | fields
    answer = client.post("/suggest/", form)
    assert answer.status_code == 302, answer.content.decode()
    return Suggestion.objects.get(pk=answer["Location"].split("/")[2])


def done(row: Suggestion) -> Suggestion:
    return computed(row, FEATURES, IDS)


def listed(client: Client, row: Suggestion) -> list[dict[str, str]]:
    answer = client.get(f"/suggest/{row.pk}/next.csv")
    assert answer.status_code == 200 and "attachment" in answer["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


@pytest.mark.django_db(transaction=True)
def test_rounds_from_the_form_to_the_list_and_on(client: Client) -> None:
    def serve() -> None:
        drains.drain(suggestions.QUEUE)  # as a ring has it done

    first = ask(client, name="Plate 7")
    waits = client.get(f"/suggest/{first.pk}/").content.decode()
    assert "Waiting for its turn" in waits and 'http-equiv="refresh"' in waits
    serve()
    page = client.get(f"/suggest/{first.pk}/").content.decode()
    assert "4 images to label next" in page and "There are no labels yet" in page and "refresh" not in page
    rows = listed(client, first)
    expected = suggest(FEATURES, IDS, {}, count=4)
    assert [row["id"] for row in rows] == [pick.id for pick in expected.picks]
    assert all(row["id"] in page and row["reason"] in page for row in rows)

    typed = {"label-1": "cell", "label-2": " nucleus ", "label-4": "cell"}
    answer = client.post(f"/suggest/{first.pk}/", {"count": 5, "strategy": "margin", **typed})
    second = Suggestion.objects.get(pk=answer["Location"].split("/")[2])
    assert (second.session, second.round, second.name) == (first.session, 2, "Plate 7")
    serve()
    given = {rows[0]["id"]: "cell", rows[1]["id"]: "nucleus", rows[3]["id"]: "cell"}
    assert Suggestion.objects.get(pk=second.pk).labels == given
    page = client.get(f"/suggest/{second.pk}/").content.decode()
    assert "Margin, asked with a classifier trained on your 3 labels" in page and "Round 1" in page
    assert "Its labels were sent" in client.get(f"/suggest/{first.pk}/").content.decode()


def test_labels_go_out_as_a_file_and_come_back_filled_in(client: Client) -> None:
    row = ask(client)
    row.earlier = {IDS[0]: "cell", IDS[1]: "nucleus"}
    done(row)
    template = client.get(f"/suggest/{row.pk}/labels.csv").content.decode()
    assert template.splitlines()[:3] == ["id,label", f"{IDS[0]},cell", f"{IDS[1]},nucleus"]
    assert [line.split(",") for line in template.splitlines()[3:]] == [[each["id"], ""] for each in listed(client, row)]
    filled = template.replace(",\n", ",debris\n").replace(",nucleus", ",debris")
    answer = client.post(f"/suggest/{row.pk}/", {"count": 3, "strategy": "dropquery", "labels": labels(filled)})
    after = Suggestion.objects.get(pk=answer["Location"].split("/")[2])
    with storage.local_path(after.embeddings_sha256) as vectors, storage.local_path(after.labels_sha256) as sent:
        found = suggest_from_files(
            vectors.read_bytes(), sent.read_bytes(), after.earlier, suggestions.LIMITS, count=3,
            strategy=Strategy.DROPQUERY, seed=0,
        )  # fmt: skip
    assert found["labels"] == {IDS[0]: "cell", IDS[1]: "debris"} | {
        each["id"]: "debris" for each in listed(client, row)
    }


@pytest.mark.parametrize(("fields", "sentence"), [
    ({"embeddings": ""}, "This field is required"),
    ({"embeddings": SimpleUploadedFile("x.npz", b"")}, "is empty"),
    ({"labels": SimpleUploadedFile("labels.csv", b"")}, "labels.csv is empty"),
    ({"count": 0}, "Ask for 1 to 200 images"), ({"count": 201}, "Ask for 1 to 200 images"),
    ({"count": "many"}, "Ask for 1 to 200 images"), ({"strategy": "oracle"}, "Select a valid choice"),
    ({"name": "x" * 121}, "at most 120 characters"),
])  # fmt: skip
def test_what_is_wrong_with_the_form_stands_beside_its_field(
    client: Client, fields: dict[str, object], sentence: str
) -> None:
    answer = client.post("/suggest/", {"embeddings": npz(), "count": 4, "strategy": "dropquery"} | fields)
    assert answer.status_code == 400 and not Suggestion.objects.exists()
    page = answer.content.decode()
    assert page.count(sentence) >= 2 and 'class="summary" role="alert"' in page


def test_files_over_the_stated_size_are_refused_at_the_door(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "128 MiB" in client.get("/suggest/").content.decode()
    monkeypatch.setattr(suggestions, "MAX_LABELS_FILE", 100)
    answer = client.post("/suggest/", {
        "embeddings": npz(), "labels": labels("id,label\n" + "a,b\n" * 99), "count": 4, "strategy": "dropquery"
    })  # fmt: skip
    assert answer.status_code == 400 and "labels.csv has more than" in answer.content.decode()


@pytest.mark.parametrize(("fields", "code"), [
    ({"embeddings": SimpleUploadedFile("x.npz", b"PK\x03\x04 nothing")}, "damaged_npz"),
    ({"embeddings": SimpleUploadedFile("x.pkl", b"\x80\x04}")}, "unknown_format"),
    ({"embeddings": npz(id=np.array([None] * 24, dtype=object))}, "bad_type"),
    ({"labels": labels("id,label\nnone.tif,cell\nplate/00.tif,\n")}, "unknown_id"),
])  # fmt: skip
def test_what_only_the_child_sees_is_listed_and_costs_nothing(
    client: Client, owner: User, fields: dict[str, object], code: str
) -> None:
    left = suggestions.left_today(owner)
    row = ask(client, **fields)
    assert suggestions.left_today(owner) == left - 1
    assert worker.serve_next()
    page = client.get(f"/suggest/{row.pk}/").content.decode()
    assert f"<code>{code}</code>" in page and "to put right" in page
    assert client.get(f"/suggest/{row.pk}/next.csv").status_code == 404
    assert client.post(f"/suggest/{row.pk}/", {"label-1": "x"}).status_code == 400
    assert suggestions.left_today(owner) == left


def test_a_refused_round_can_be_asked_for_again_and_nothing_was_written_in_vain(client: Client) -> None:
    first = done(ask(client))
    bad = {"count": 4, "strategy": "dropquery", "label-2": "typed by hand", "labels": labels("id,label\nnone,x\n")}
    refused = client.post(f"/suggest/{first.pk}/", bad)["Location"]
    assert worker.serve_next()
    page = client.get(refused).content.decode()
    assert "unknown_id" in page and f"/suggest/{first.pk}/#next" in page
    again = client.get(f"/suggest/{first.pk}/").content.decode()
    assert 'value="typed by hand"' in again
    good = client.post(f"/suggest/{first.pk}/", {"count": 4, "strategy": "dropquery", "label-2": "typed by hand"})
    assert good.status_code == 302
    twice = client.post(f"/suggest/{first.pk}/", {"count": 4, "strategy": "dropquery", "label-2": "typed by hand"})
    assert twice.status_code == 400 and "asked for already" in twice.content.decode()
    none = client.post(f"/suggest/{first.pk}/", {"count": 4, "strategy": "dropquery"})
    assert none.status_code == 400 and "No label was given" in none.content.decode()


def test_rounds_are_their_owners_and_the_organisers_alone(client: Client) -> None:
    row = done(ask(client))
    stranger, staff = Client(), Client()
    stranger.force_login(make_user())
    staff.force_login(make_user(is_staff=True))
    for path in ("", "next.csv", "labels.csv"):
        address = f"/suggest/{row.pk}/{path}"
        seen = [each.get(address).status_code for each in (Client(), stranger, client, staff)]
        assert seen == [404, 404, 200, 200]
    assert stranger.post(f"/suggest/{row.pk}/", {"label-1": "x"}).status_code == 404
    assert Client().get("/suggest/").status_code == 302


def test_a_day_has_so_many_rounds_and_so_many_wait_at_once(client: Client, owner: User, settings) -> None:
    settings.SUGGESTIONS_PER_DAY = 4
    form = {"count": 2, "strategy": "dropquery"}
    for _ in range(suggestions.WAITING_AT_ONCE):
        ask(client)
    answer = client.post("/suggest/", form | {"embeddings": npz()})
    assert answer.status_code == 429 and "wait already" in answer.content.decode()
    Suggestion.objects.update(state="done")
    ask(client)
    answer = client.post("/suggest/", form | {"embeddings": npz()})
    assert answer.status_code == 429 and "used your 4 rounds of today" in answer.content.decode()
    owner.is_staff = True
    owner.save()
    Suggestion.objects.update(state="done")
    ask(client)


@pytest.fixture
def queued(owner: User) -> Suggestion:
    """A round whose file nobody will open."""
    return Suggestion.objects.create(
        owner=owner, name="x", embeddings_name="x", embeddings_sha256="0" * 64, embeddings_size=1, count=1,
        strategy="dropquery",
    )  # fmt: skip


@pytest.mark.parametrize(("error", "state", "attempts"), [
    (EvaluationFailed("timeout", "too long", retry=False), "refused", 1),
    (EvaluationFailed("child_misbehaved", "odd", retry=False), "refused", 1),
    (EvaluationFailed("stopped", "stopped", retry=False), "queued", 0),
    (EvaluationFailed("out_of_memory", "killed", retry=True), "running", 1),
    (ZeroDivisionError(), "running", 1),
])  # fmt: skip
def test_how_a_round_ends_other_than_well(
    queued: Suggestion, monkeypatch: pytest.MonkeyPatch, error: Exception, state: str, attempts: int
) -> None:
    def break_down(row: Suggestion) -> None:
        raise error

    monkeypatch.setattr(worker, "_compute", break_down)
    assert worker.serve_next()
    queued.refresh_from_db()
    assert (queued.state, queued.attempts) == (state, attempts)
    assert bool(queued.problems) is (state == "refused")


def test_what_fails_again_and_again_ends(queued: Suggestion, monkeypatch: pytest.MonkeyPatch, settings) -> None:
    settings.BACKOFF_S = 0
    tried = []
    monkeypatch.setattr(worker, "_compute", lambda row: tried.append(row.pk) or 1 / 0)
    while worker.serve_next():
        pass
    queued.refresh_from_db()
    assert len(tried) == settings.MAX_ATTEMPTS and queued.state == "failed"
    assert queued.problem_counts == {"worker_lost": 1}


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_do_the_same_round(queued: Suggestion, monkeypatch: pytest.MonkeyPatch, settings) -> None:
    """While one holds the row it is not to be had, however often the other looks; when it lets go, it is."""
    settings.BACKOFF_S = 0
    row = suggestions.begin()
    assert row is not None

    def look() -> None:
        try:
            found.append(suggestions.begin())
        finally:
            connection.close()

    found: list[Suggestion | None] = []
    with transaction.atomic():
        assert suggestions.hold(row)
        other = threading.Thread(target=look)
        other.start()
        other.join()
    assert found == [None]
    taken = suggestions.begin()
    assert taken is not None and taken.attempts == 2
    with transaction.atomic():
        assert not suggestions.hold(row) and suggestions.hold(taken)


def test_a_lost_ring_is_rung_again(queued: Suggestion) -> None:
    assert reconciler._unserved(suggestions.QUEUE) == 1
    suggestions.end(queued, SuggestionState.FAILED)
    assert reconciler._unserved(suggestions.QUEUE) == 0

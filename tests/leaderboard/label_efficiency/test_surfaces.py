"""What staff and clients see of studies: the organisers' page, the JSON, the events."""

import pytest
from django.test import Client

from leaderboard.label_efficiency import studies
from leaderboard.models import Event, Model, Study, WorkerStatus
from leaderboard.queue import Queue, claims
from leaderboard.workers.drain import drain
from leaderboard.workers.presence import Presence
from tests.builders.leaderboard import make_user
from tests.builders.studies import make_embedded
from tests.builders.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def client_of(user=None) -> Client:
    client = Client()
    if user:
        client.force_login(user)
    return client


def page(user) -> str:
    return client_of(user).get("/organise/").content.decode()


def test_staff_see_studies_and_their_workers_and_mark_reference_encoders(release, staff):
    submission = make_embedded(release, "mine")
    drain(Queue.SCORE)
    shown = page(staff)
    assert "label efficiency" in shown and "No study" not in shown
    address = "/organise/models/mine/reference-encoder/"
    assert address in shown
    client = client_of(staff)
    assert "Nothing runs by itself" in client.get(address).content.decode()
    assert not Model.objects.get(slug="mine").is_reference_encoder
    assert "Marked: mine" in client.post(address, follow=True).content.decode()
    assert Model.objects.get(slug="mine").is_reference_encoder
    marked = Event.objects.get(to_state="marked")
    assert (marked.actor, marked.queue, marked.note) == (staff.actor_id, "study", "reference encoder: mine")
    assert "Unmarked: mine" in client.post(address, follow=True).content.decode()
    assert not Model.objects.get(slug="mine").is_reference_encoder
    assert client_of(submission.owner).post(address).status_code == 404
    with Presence(Queue.STUDY) as presence:
        claim = claims.claim(Queue.STUDY, presence.name)
        wait_until(lambda: WorkerStatus.objects.filter(study=claim.pk).exists(), within_s=10)
        assert "mine, efficiency" in page(staff)
    for state in ("failed", "scored", "queued"):
        assert client_of(staff).get(f"/organise/?state={state}").status_code == 200


def test_the_queue_of_studies_is_paused_on_the_page(staff):
    client = client_of(staff)
    assert client.post("/organise/queues/study/pause/").status_code == 302
    assert "/organise/queues/study/resume/" in page(staff)


def test_the_api_gives_board_documents_and_comparisons(release, here):
    owner = make_user("owner")
    submission = make_embedded(release, "mine")
    hidden = make_embedded(release, "hidden", seed=1, publish=False)
    Model.objects.filter(pk=hidden.model_id).update(owner=owner)
    type(hidden).objects.filter(pk=hidden.pk).update(owner=owner)
    drain(Queue.SCORE)
    client, base = Client(), "/api/v1"
    waiting = client.get(f"{base}/submissions/{submission.pk}/label-efficiency/").json()
    assert waiting == {"state": "waiting", "reason": "", "datasets": {}}
    Model.objects.filter(slug="mine").update(is_reference_encoder=True)
    studies.ask_strategies(submission, "cells_a", [("random", "random"), ("margin", "random")])
    assert client.get(f"{base}/releases/tiny/strategies/").json() == {"comparisons": [], "waiting": 1}
    drain(Queue.STUDY)
    board = client.get(f"{base}/releases/tiny/label-efficiency/").json()
    assert [row["model"] for row in board["rows"]] == ["mine"] and board["waiting"] == 0
    assert board["rows"][0]["per_dataset"]["cells_a"]["labels_to"]["eighty_percent"]["state"]
    one = client.get(f"{base}/releases/tiny/label-efficiency/?dataset=cells_a").json()
    assert one["dataset"] == "cells_a" and one["rows"][0]["aulc"] == board["rows"][0]["per_dataset"]["cells_a"]["aulc"]
    assert client.get(f"{base}/releases/tiny/label-efficiency/?dataset=nothing").status_code == 404
    found = client.get(f"{base}/submissions/{submission.pk}/label-efficiency/").json()
    assert found["state"] == "done" and set(found["datasets"]) == {"cells_a", "cells_b"}
    assert client.get(f"{base}/submissions/{hidden.pk}/label-efficiency/").status_code == 404
    own = client_of(owner).get(f"{base}/submissions/{hidden.pk}/label-efficiency/").json()
    assert set(own["datasets"]) == {"cells_a", "cells_b"}
    compared = client.get(f"{base}/releases/tiny/strategies/").json()["comparisons"]
    assert [(each["dataset"], each["encoder"], each["start"]) for each in compared] == [("cells_a", "mine", "random")]
    for query, n in (("encoder=mine", 1), ("encoder=other", 0), ("start=centroid", 0), ("dataset=cells_b", 0)):
        assert len(client.get(f"{base}/releases/tiny/strategies/?{query}").json()["comparisons"]) == n
    assert Study.objects.filter(state="done").count() == 3

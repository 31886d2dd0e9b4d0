"""The pages of tuned models and their bases: what is told to whom, and what they may do."""

import json
import re

import pytest
from django.test import Client

from leaderboard.lineage import links, pairs
from leaderboard.models import BaseLink, Evaluation, Submission
from leaderboard.models.submissions import Purpose
from leaderboard.states import EvaluationState
from leaderboard.workers.drain import drain
from tests.builders import analyses
from tests.builders.lineages import TARGET, make_forgetting, make_interpolation, make_pair, make_sweep

pytestmark = pytest.mark.django_db


def client_of(user=None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def text_of(response) -> str:
    """The page as a reader sees it: tags dropped, white space folded."""
    html = re.sub(r"<(script|style).*?</\1>", " ", response.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.fixture(scope="module")
def published(standing, django_db_blocker) -> dict[str, Submission]:
    """Published fine-tunes of `strong`, of another author."""
    with django_db_blocker.unblock():
        made = {
            name: make_pair(standing.stranger, standing.release, name, standing.published, seed=seed)
            for seed, name in enumerate(("tuned", "keeps", "learnt-nothing"), start=20)
        }
        drain("score")
    return made


@pytest.fixture
def tuned(published) -> Submission:
    return published["tuned"]


def test_the_model_page_says_what_was_forgotten_to_everyone(standing, tuned):
    make_forgetting(tuned)
    page = client_of().get("/models/tuned/")
    text = text_of(page)
    assert "Outside its target domain it lost 12.0 points against its base: significant" in text
    assert "Inside it gained 14.0 points: significant" in text
    assert "It retained 71 % of what its base knew above chance (55 to 86 %" in text
    assert "tuned for subdomain cell biology · stain hematoxylin and eosin" in text
    assert "withheld" in text and "too few" in text
    assert b"plotly" not in page.content  # no figure, so no bundle
    assert "Sweep the merge" not in text and "change base" not in text


def test_a_matrix_cell_has_number_interval_and_a_mark_beside_its_colour(standing, tuned):
    document = analyses.forgetting()
    document["tasks"][0]["all"] = analyses.cell(0.6, -0.123)
    document["tasks"][3]["all"] = analyses.cell(0.6, 0.011)
    make_forgetting(tuned, document)
    html = client_of().get("/models/tuned/").content.decode()
    cells = re.findall(r'<td class="delta ?([a-z0-9]*)">(.*?)</td>', html)
    assert cells[0][0] == "loss3" and "<strong>−12.3<span" in cells[0][1] and "−16.3 to −8.3" in cells[0][1]
    assert cells[3][0] == "gain1" and "<strong>" not in cells[3][1] and "+1.1" in cells[3][1]


def test_no_significant_change_is_called_so(standing, tuned):
    make_forgetting(tuned, analyses.forgetting(outside=-0.01, inside=0.01, retained=None))
    text = text_of(client_of().get("/models/tuned/"))
    assert "the change of −1.0 points is not significant" in text and "cannot be ruled out" in text
    assert "Inside the change of +1.0 points is not significant" in text
    assert "No retained share is given" in text


def test_the_interpolation_stands_as_figures_and_as_a_table(standing, tuned):
    make_interpolation(tuned, analyses.interpolation(broken=(0.95,)))
    page = client_of().get("/models/tuned/")
    html, text = page.content.decode(), text_of(page)
    assert "At α = 0.35, chosen on dev, the merge scores" in text
    assert "α = 0.95 is left out. The model gave NaN or infinite numbers" in text
    curve = json.loads(re.search(r'<script id="curve" type="application/json">(.*?)</script>', html)[1])
    assert any(trace.get("name") == "inside the target" for trace in curve["data"])
    table = html[html.index("The figures as a table") :]
    assert table.count("<tr", 0, table.index("</table>")) == 1 + 20
    assert "plotly-basic" in html and 'src="/static' in html and " defer" in html
    assert "Submit the merge" not in text  # another author's


def test_its_author_names_the_base_and_is_told_of_every_problem(standing):
    client = client_of(standing.owner)
    page = client.get(f"/submissions/{standing.hidden.pk}/")
    assert "Name its base" in text_of(page)
    address = f"/submissions/{standing.hidden.pk}/base/"
    form = client.get(address)
    assert "declared after scores" in text_of(form) and 'value="stain=DAPI"' in form.content.decode()
    refused = client.post(address, {"base": "nobody", "target": ["stain=DAPI"]})
    assert refused.status_code == 400 and "nobody" in text_of(refused) and "checked" in refused.content.decode()
    assert client.post(address, {"base": "strong", "target": TARGET}).status_code == 302
    link = BaseLink.objects.get(submission=standing.hidden, superseded_at=None)
    assert (link.base, sorted(link.target)) == (standing.published, sorted(TARGET))
    client.post(address, {"base": "weak", "target": ["stain=DAPI"]})
    text = text_of(client.get(f"/submissions/{standing.hidden.pk}/"))
    assert "Earlier declarations: 1" in text and "declared after scores" in text


def test_a_suggested_base_is_taken_with_one_press(standing):
    fact = {"submission": str(standing.published.pk), "identical_share": 0.5, "distance": 0.1, "cosine": 0.99}
    Submission.objects.filter(pk=standing.hidden.pk).update(facts={"looks_like": [fact]})
    client, address = client_of(standing.owner), f"/submissions/{standing.hidden.pk}/base/"
    assert "It looks like a fine-tune of strong" in text_of(client.get(address))
    assert 'value="strong"' in client.get(address).content.decode()  # filled in, so that one press takes it
    client.post(address, {"base": "", "accept": str(standing.published.pk), "target": TARGET[:1]})
    assert pairs.in_force(standing.hidden).base == standing.published


def test_one_press_queues_the_sweep_and_its_progress_is_shown(standing):
    make_pair(standing.owner, standing.release, "mine", standing.published, publish=False)
    mine = Submission.objects.get(model__slug="mine")
    client, address = client_of(standing.owner), f"/submissions/{mine.pk}/sweep/"
    page = client.get(f"/submissions/{mine.pk}/")
    assert "Sweep the merge with its base" in text_of(page)
    assert client.post(address).headers["Location"] == f"/submissions/{mine.pk}/#merging"
    sweep = Evaluation.objects.get(submission=mine, purpose=Purpose.SWEEP)
    assert "The sweep is queued" in text_of(client.get(address))
    Evaluation.objects.filter(pk=sweep.pk).update(
        state=EvaluationState.RUNNING, progress={"stage": "answering", "done": 7, "total": 21, "eta_s": 72.0}
    )
    part = client.get(address)
    assert "Answering: 7 of 21 · 1 min 12 s left" in text_of(part) and "HX-Refresh" not in part.headers
    Evaluation.objects.filter(pk=sweep.pk).update(state=EvaluationState.SCORED)
    assert client.get(address).headers["HX-Refresh"] == "true"


def test_a_failed_sweep_can_be_started_again(standing):
    mine = make_pair(standing.owner, standing.release, "mine", standing.published, publish=False)
    make_sweep(mine, EvaluationState.FAILED, failure_message="The device broke.")
    text = text_of(client_of(standing.owner).get(f"/submissions/{mine.pk}/"))
    assert "The last sweep failed: The device broke." in text and "Sweep the merge with its base" in text


def test_what_cannot_be_merged_says_why(standing):
    base = standing.published
    mine = make_pair(standing.owner, standing.release, "mine", base, publish=False)
    Submission.objects.filter(pk=mine.pk).update(kind="predictions")
    text = text_of(client_of(standing.owner).get(f"/submissions/{mine.pk}/"))
    assert "Not applicable. This submission is a predictions file without weights" in text
    assert "Sweep the merge with its base" not in text


def test_its_author_submits_the_merge_and_finds_it_there(standing):
    mine = make_pair(standing.owner, standing.release, "mine", standing.published, publish=False)
    make_interpolation(mine)
    client, address = client_of(standing.owner), f"/submissions/{mine.pk}/merge/"
    assert "Submit the merge at α = 0.35" in text_of(client.get(f"/submissions/{mine.pk}/"))
    form = client.get(address)
    assert 'value="mine-merged"' in form.content.decode() and "without a rank" in text_of(form)
    refused = client.post(address, {"alpha": "0.35", "model": "Not A Name"})
    assert refused.status_code == 400 and "lower-case letters" in text_of(refused)
    assert client.post(address, {"alpha": "0.351", "model": "merged"}).status_code == 400
    made = client.post(address, {"alpha": "0.35", "model": "merged"})
    assert made.status_code == 302
    derived = Submission.objects.get(model__slug="merged")
    assert derived.merge["alpha"] == 0.35 and derived.publish is False
    assert "α = 0.35" in text_of(client.get(f"/submissions/{mine.pk}/"))


def test_a_merge_says_what_it_is_made_of(standing):
    mine = make_pair(standing.owner, standing.release, "mine", standing.published, publish=False)
    make_interpolation(mine)
    client = client_of(standing.owner)
    client.post(f"/submissions/{mine.pk}/merge/", {"alpha": "0.35", "model": "merged"})
    text = text_of(client.get(f"/submissions/{Submission.objects.get(model__slug='merged').pk}/"))
    assert "0.65 × strong" in text and "0.35 × mine" in text


def test_others_may_neither_name_nor_sweep_nor_merge(standing, tuned):
    for client, status in ((client_of(standing.owner), 403), (client_of(), 302)):
        for act in ("base", "sweep", "merge"):
            assert client.post(f"/submissions/{tuned.pk}/{act}/").status_code == status, act


def test_the_release_page_ranks_by_what_was_kept_and_counts_the_rest(standing, published):
    make_forgetting(published["tuned"], analyses.forgetting(retained=0.5))
    make_forgetting(published["keeps"], analyses.forgetting(retained=0.9))
    make_forgetting(published["learnt-nothing"], analyses.forgetting(inside=0.001))
    page = client_of().get("/releases/standing/forgetting/")
    html, text = page.content.decode(), text_of(page)
    assert html.index("/models/keeps/") < html.index("/models/tuned/") and "/models/learnt-nothing/" not in html
    assert "1 more published fine-tune with a named base has no significant gain" in text
    assert "+14.0" in text and "−12.0" in text
    figure = json.loads(re.search(r'<script id="gains" type="application/json">(.*?)</script>', html)[1])
    assert figure["data"][0]["text"] == ["keeps", "tuned"]
    assert "/releases/standing/forgetting/" in client_of().get("/releases/standing/").content.decode()


def test_without_any_gain_the_release_page_says_so(standing):
    page = client_of().get("/releases/standing/forgetting/?split=dev")
    assert "No published model has a significant gain" in text_of(page) and b"plotly" not in page.content
    assert client_of().get("/releases/standing/forgetting/?split=nowhere").status_code == 404


def test_the_submit_form_asks_for_the_target_and_keeps_it(standing):
    client = client_of(standing.owner)
    html = client.get("/submit/").content.decode()
    assert 'value="stain=DAPI"' in html and "Only a base: keep it private" in html
    assert '<option value="strong">' in html
    refused = client.post("/submit/", {"kind": "checkpoint", "release": "standing", "model": "x", "target": TARGET})
    assert re.search(r'value="stain=hematoxylin and eosin" checked', refused.content.decode())


def test_a_private_base_is_named_but_not_linked(standing, tuned):
    Submission.objects.filter(pk=standing.hidden.pk).update(kept_private=True, owner=standing.stranger)
    links.declare(tuned, str(standing.hidden.pk), TARGET, by=standing.stranger)
    text, html = text_of(page := client_of().get("/models/tuned/")), page.content.decode()
    assert "which its author keeps private" in text and str(standing.hidden.pk) not in html

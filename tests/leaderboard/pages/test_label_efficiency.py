"""Pages of label efficiency over studies that were really made: boards, a model's section, strategies, staff."""

import csv
import gzip
import io
import json
import re
import shutil

import numpy as np
import pytest
from django.core.management import call_command
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.test import Client

from evaluator.active_learning.names import Start, Strategy
from leaderboard import storage
from leaderboard.label_efficiency import studies
from leaderboard.label_efficiency.rows import EfficiencyBoard, EfficiencyCell, EfficiencyDataset, EfficiencyRow
from leaderboard.models import Event, LabelEfficiency, Model, Study, Submission
from leaderboard.pages.labels import efficiency_board
from leaderboard.queue import Queue
from leaderboard.workers.drain import drain
from tests.builders import efficiency as build
from tests.builders.entries import make_answered
from tests.builders.leaderboard import make_model, make_user
from tests.builders.studies import make_embedded, make_release
from tests.leaderboard.pages.test_lineage import client_of, text_of

pytestmark = pytest.mark.django_db
DATASET = "cells_a"
PAIRS = [(Strategy.RANDOM, Start.RANDOM), (Strategy.MARGIN, Start.RANDOM), (Strategy.MARGIN, Start.CENTROID),
         (Strategy.RANDOM, Start.CENTROID)]  # fmt: skip
SEEDS = 4  # of strategies; scoring asks for the label efficiency by itself, with 20


@pytest.fixture(scope="module")
def measured(django_db_setup, django_db_blocker, services):
    """Two published encoders; strategies on one dataset by the better one."""
    with django_db_blocker.unblock():
        release = make_release("labels")
        made = {
            "release": release, "staff": make_user("staff", is_staff=True),
            "clear": make_embedded(release, "clear", clear=3.0, seed=1),
            "vague": make_embedded(release, "vague", clear=0.4, seed=2),
        }  # fmt: skip
        drain(Queue.SCORE)
        studies.mark_reference_encoder(made["clear"].model, marked=True, by=made["staff"])
        studies.ask_strategies(made["clear"], DATASET, PAIRS, seeds=SEEDS)
        drain(Queue.STUDY)
        yield made
        call_command("flush", interactive=False, verbosity=0)
        shutil.rmtree(storage.release_folder(release))
        shutil.rmtree(storage.key_root())


def documents_of(submission: Submission) -> dict[str, dict]:
    rows = LabelEfficiency.objects.filter(submission=submission, superseded_at=None)
    return {row.dataset: row.document for row in rows}


def percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}".replace("-", "−")


def board(query: str = "", client: Client | None = None):
    return (client or Client()).get(f"/releases/labels/label-efficiency/{query}")


def test_made_up_documents_have_the_shape_of_real_ones(measured):
    real, made_up = documents_of(measured["clear"])[DATASET], build.efficiency()
    assert_within(made_up, real, "efficiency")
    page = Client().get(f"/api/v1/releases/labels/strategies/?dataset={DATASET}").json()["comparisons"]
    single = next(each["document"] for each in page if each["dataset"])
    assert_within(build.comparison(), single, "comparison")


def assert_within(made_up, real, place: str) -> None:
    """Every name of the one is in the other, of the same kind."""
    if isinstance(made_up, dict):
        assert isinstance(real, dict), place
        assert set(made_up) <= set(real), f"{place}: {set(made_up) - set(real)}"
        for name in made_up:
            assert_within(made_up[name], real[name], f"{place}.{name}")
    elif isinstance(made_up, list) and made_up and real:
        assert_within(made_up[-1], real[-1], place)


def test_the_board_ranks_published_encoders_by_their_mean_area(measured):
    html = board().content.decode()
    names = re.findall(r'class="model"><a href="/models/([a-z]+)/#label-efficiency"', html)
    assert names == ["clear", "vague"]
    documents = documents_of(measured["clear"])
    mean = np.mean([document["aulc"]["log2"]["estimate"] for document in documents.values()])
    assert f'<td class="score">{percent(mean)}</td>' in html
    for document in documents.values():
        assert f">{percent(document['aulc']['log2']['estimate'])}</td>" in html
    text = text_of(board())
    assert "differences below" in text and "20 orders of labelling" in text
    assert "how far it is on the way from chance (0) to every class always right (100)" in text


def test_the_board_of_a_dataset_shows_labels_needed(measured):
    html = board(f"{DATASET}/").content.decode()
    document = documents_of(measured["clear"])[DATASET]
    assert percent(document["zero_shot"]["balanced_accuracy"]["estimate"]) in html
    found = document["labels_to"]["eighty_percent"]
    expected = {"not reached": "not reached", "from the first": "≤"}.get(found["state"])
    row = html[html.index("/models/clear/") :].partition("</tr>")[0]
    assert (expected or str(int(np.ceil(found["labels"] - 1e-6)))) in row
    assert board("nothing/").status_code == 404


def test_curves_stand_in_a_figure_and_in_the_table_below_it(measured):
    html = board().content.decode()
    figure = json.loads(re.search(r'<script id="curves" type="application/json">(.*?)</script>', html)[1])
    assert set(figure["choices"]) == set(documents_of(measured["clear"])) and set(figure["series"]) == {
        "clear",
        "vague",
    }
    document = documents_of(measured["vague"])[DATASET]
    heights = [round(100 * each["same"]["balanced_accuracy"]["estimate"], 1) for each in document["budgets"]]
    assert figure["choices"][DATASET]["vague"][1] == heights
    table = html[html.index("The curves as a table") :].partition("</table>")[0]
    assert all(percent(each["same"]["balanced_accuracy"]["estimate"]) in table for each in document["budgets"])


def test_the_file_holds_the_documents_fractions(measured):
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(board("?format=csv").content.decode()))}
    assert set(rows) == {"clear", "vague"}
    for name, row in rows.items():
        for dataset, document in documents_of(measured[name]).items():
            assert float(row[f"{dataset}_aulc_estimate"]) == document["aulc"]["log2"]["estimate"]
            assert row[f"{dataset}_labels_to_zero_shot_state"] == document["labels_to"]["zero_shot"]["state"]
    one = csv.DictReader(io.StringIO(board(f"{DATASET}/?format=csv").content.decode()))
    areas = [name for name in one.fieldnames or () if name.endswith("aulc_low")]
    assert areas == ["aulc_low", f"{DATASET}_aulc_low"]


def test_the_model_page_has_a_section_with_curves_and_links_to_the_board(measured):
    html = Client().get("/models/clear/").content.decode()
    section = html[html.index('id="label-efficiency"') :].partition("</section>")[0]
    documents = documents_of(measured["clear"])
    assert section.count('<svg class="small-curve"') == len(documents)
    assert 'href="/releases/labels/label-efficiency/"' in section and "linear head on this encoder" in section
    for document in documents.values():
        for budget in document["budgets"]:
            assert percent(budget["own"]["balanced_accuracy"]["estimate"]) in section
    assert "plotly" not in html  # drawn by the server


def test_before_publication_only_its_owner_and_staff_read_it(measured):
    hidden = make_answered(
        make_model(make_user(), "hidden"), measured["release"], splits=("dev", "test"), publish=False
    )
    for row in LabelEfficiency.objects.filter(submission=measured["clear"]):
        row.pk, row.submission = None, hidden
        row.save()
    address = f"/submissions/{hidden.pk}/"
    assert Client().get(address).status_code == 404
    for user in (hidden.owner, measured["staff"]):
        assert '<svg class="small-curve"' in client_of(user).get(address).content.decode()
    assert "hidden" not in re.findall(r"/models/([a-z]+)/", board(client=client_of(hidden.owner)).content.decode())


def test_every_state_has_a_sentence(measured):
    release, owner = measured["release"], make_user("author")
    waiting = make_embedded(release, model=make_model(owner, "waiting"), seed=5, publish=False)
    address, client = f"/submissions/{waiting.pk}/", client_of(owner)
    assert "Label efficiency is not measured yet" in text_of(client.get(address))
    study = Study.objects.create(submission=waiting, kind="efficiency")
    Study.objects.filter(pk=study.pk).update(state="running", progress={"stage": "heads", "done": 1, "total": 2})
    assert "is being measured: 1 of 2" in text_of(client.get(address))
    Study.objects.filter(pk=study.pk).update(state="failed", failure_message="The disk is full.")
    assert "Measuring it failed. The disk is full." in text_of(client.get(address))
    Submission.objects.filter(pk=waiting.pk).update(kind="predictions")
    assert "Not applicable. A prediction file holds answers" in text_of(client.get(address))
    Submission.objects.filter(pk=waiting.pk).update(state="withdrawn")
    assert 'id="label-efficiency"' not in client.get(address).content.decode()


def test_what_waits_and_what_is_not_ranked_is_said(measured):
    text = text_of(board())
    assert "to be measured" not in text
    Study.objects.create(submission=measured["vague"], kind="efficiency")
    assert "1 more model waits to be measured" in text_of(board())
    for row in LabelEfficiency.objects.filter(dataset=DATASET, superseded_at=None):
        LabelEfficiency.objects.filter(pk=row.pk).update(superseded_at=Now())
        row.pk, reason = None, "Only 4 sources stand behind the evaluated images."
        row.document |= {"ranked": False, "reason": reason}
        row.save()
    assert "This dataset is not ranked. Only 4 sources stand" in text_of(board(f"{DATASET}/"))
    assert "mean over 1 dataset" in text_of(board())


def test_a_release_without_checkpoints_says_what_to_do(measured):
    Model.objects.update(is_reference_encoder=False)
    LabelEfficiency.objects.update(superseded_at="2026-01-01T00:00Z")
    assert "No published checkpoint has been measured yet. Submit one" in text_of(board())
    strategies = text_of(Client().get("/releases/labels/strategies/"))
    assert "have not chosen any encoder to compare strategies on" in strategies


def test_strategies_are_explained_compared_and_tabulated(measured):
    page = Client().get("/releases/labels/strategies/")
    html, text = page.content.decode(), text_of(page)
    assert "Which images should be labelled next?" in text and "arXiv 2401.14555" in text
    assert "nearly tied" in text and "what the others have to beat" in text
    assert "Cells a, seen by clear" in text and '<option value="random" selected>' in html
    api = Client().get(f"/api/v1/releases/labels/strategies/?dataset={DATASET}&start=random").json()["comparisons"]
    document = next(each["document"] for each in api if each["dataset"])
    margin = next(each for each in document["strategies"] if each["strategy"] == "margin")
    gain = f"{100 * margin['over_random']['estimate']:+.1f}".replace("-", "−")
    assert gain in text
    table = html[html.index("The curves as a table") :].partition("</table>")[0]
    assert all(percent(each["balanced_accuracy"]["estimate"]) in table for each in margin["curve"])
    link = re.search(r'href="(\?[^"]*format=csv)"', html)[1].replace("&amp;", "&")
    rows = {row["strategy"]: row for row in csv.DictReader(io.StringIO(
        Client().get(f"/releases/labels/strategies/{link}").content.decode()))}  # fmt: skip
    assert float(rows["margin"]["over_random_estimate"]) == margin["over_random"]["estimate"]
    assert rows["random"]["p"] == "" and rows["random"]["encoder"] == "clear"
    assert html.count('<td class="none">') == 2  # the diagonal of the matrix


def test_another_start_is_chosen_in_the_address_and_an_unknown_one_is_refused(measured):
    client = Client()
    chosen = client.get("/releases/labels/strategies/?start=centroid").content.decode()
    assert '<option value="centroid" selected>' in chosen
    refused = client.get("/releases/labels/strategies/?start=nowhere&dataset=")
    assert refused.status_code == 400 and "There is no start" in text_of(refused)


def test_staff_queue_all_that_is_missing_on_a_page_that_says_so(measured):
    make_answered(make_model(make_user(), "later"), measured["release"], splits=("dev", "test"), seed=9)
    client = client_of(measured["staff"])
    assert "Queue all that is missing of" in text_of(client.get("/organise/"))
    asked = text_of(client.get("/organise/releases/labels/studies/"))
    assert "on the embeddings of its 1 reference encoder, for all 12 strategies" in asked
    assert "python manage.py label_efficiency labels" in asked
    before = Study.objects.count()
    assert client.post("/organise/releases/labels/studies/").status_code == 302
    other = Study.objects.filter(kind="strategies", state="queued").exclude(dataset=DATASET).get()
    assert Study.objects.count() > before and len(other.wanted) == len(Strategy) * 2
    assert Event.objects.filter(study__isnull=False, actor=measured["staff"].actor_id).exists()


def test_boards_and_the_release_lead_there(measured):
    for address in ("/releases/labels/", "/releases/labels/overall/"):
        html = Client().get(address).content.decode()
        assert 'href="/releases/labels/label-efficiency/"' in html and 'href="/releases/labels/strategies/"' in html


def test_a_board_of_three_hundred_encoders_stays_light(measured):
    slugs = [f"dataset_{number}" for number in range(12)]
    rng = np.random.default_rng(0)
    rows = [_row(f"model-{number}", number, slugs, rng) for number in range(300)]
    datasets = [EfficiencyDataset(slug=slug, title=slug, ranked=True, reason="", n_classes=6) for slug in slugs]
    big = EfficiencyBoard(release="labels", split="test", dataset=None, rows=rows, datasets=datasets, waiting=0,
                          resolvable_difference=0.03, seeds=20, per_class=build.PER_CLASS)  # fmt: skip
    drawn = efficiency_board.drawn_rows(big, set())
    documents = {slug: {row.model: build.efficiency(slug, skill=rng.uniform(0.3, 0.9)) for row in drawn}
                 for slug in slugs}  # fmt: skip
    context = {
        "release": measured["release"], "board": big, "rows": efficiency_board.rows_of(big, set()), "ranked": datasets,
        "figure": efficiency_board.figure(drawn, documents, None), "scale": (0, 25, 50, 75, 100),
        "tables": efficiency_board.table(drawn, documents, big), "n_drawn": len(drawn), "has_figures": True,
    }  # fmt: skip
    html = render_to_string("efficiency/board.html", context)
    assert html.count("<tr") > 300 and len(gzip.compress(html.encode())) < 60_000


def _row(model: str, place: int, slugs: list[str], rng: np.random.Generator) -> EfficiencyRow:
    def interval(middle: float) -> dict[str, float]:
        return {"estimate": middle, "low": middle - rng.uniform(0, 0.1), "high": middle + rng.uniform(0, 0.1)}

    cells = {
        slug: EfficiencyCell(
            aulc=interval(rng.uniform()), gain=interval(0.0), zero_shot=None, ceiling=None, n_classes=6,
            labels_to=build.efficiency(skill=rng.uniform(0.3, 0.9))["labels_to"], most_labels=192,
        )
        for slug in slugs
    }  # fmt: skip
    return EfficiencyRow(
        model=model, name=model, submission=str(place), kind="checkpoint", rank=place + 1, rank_low=place + 1,
        rank_high=place + 4, group=place // 4, aulc=interval(rng.uniform()), gain=interval(rng.normal(0, 0.02)),
        per_dataset=cells,
    )  # fmt: skip

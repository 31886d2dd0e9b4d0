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


def test_each_task_and_facet_stands_in_one_figure_and_in_a_table_at_a_few_alphas(standing, tuned):
    document = analyses.interpolation()
    make_interpolation(tuned, document)
    html = client_of().get("/models/tuned/").content.decode()
    figure = json.loads(re.search(r'<script id="single" type="application/json">(.*?)</script>', html)[1])
    chosen = re.search(r'<option value="([^"]*)" selected>', html)[1]
    assert chosen == analyses.LIVELIEST
    assert set(re.findall(r'<option value="([^"]*)"', html)) == set(figure["choices"])
    assert "stain=DAPI" in figure["choices"] and "stain=Giemsa" not in figure["choices"]  # withheld
    table = html[html.index("Each task and facet as a table") :].partition("</table>")[0]
    heads = re.findall(r"α = ([\d.]+)", table[table.index("<thead") : table.index("<tbody")])
    assert heads == ["0.00", "0.25", "0.35", "0.50", "0.75", "1.00"] and table.count("<small>chosen</small>") == 1
    point = next(each for each in document["alphas"] if each["alpha"] == 0.35)
    task = next(each for each in point["tasks"] if each["task"] == analyses.LIVELIEST)
    row = table[table.index(">Modality<") :].partition("</tr>")[0]
    assert f"{100 * task['accuracy']['estimate']:.1f}" in row
    assert f"{100 * task['delta']['high']:+.1f}".replace("-", "−") in row
    assert "withheld: n = 12" in table and "light microscopy" in table


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


@pytest.fixture
def brewed(standing) -> dict[str, Submission]:
    """Fine-tunes of `strong` by its own author."""
    return {
        name: make_pair(standing.owner, standing.release, name, standing.published, publish=False, seed=seed)
        for seed, name in enumerate(("first", "second", "third"), start=30)
    }


def test_fine_tunes_of_one_base_are_mixed_into_a_soup(standing, brewed):
    client, address = client_of(standing.owner), f"/submissions/{standing.published.pk}/soup/"
    assert "Mean of several fine-tunes (a soup)" in text_of(page := client.get("/models/strong/"))
    assert f'href="{address}"' in page.content.decode()
    form = client.get(address)
    assert "without a rank" in text_of(form) and "private until you publish" in text_of(form)
    assert form.content.decode().count(" checked") == 3 and 'value="strong-soup"' in form.content.decode()
    parts = [str(brewed[name].pk) for name in ("first", "third")]
    made = client.post(address, {"parts": parts, "model": "soup"})
    soup = Submission.objects.get(model__slug="soup")
    assert made.headers["Location"] == f"/submissions/{soup.pk}/"
    assert {part["submission"]: part["weight"] for part in soup.merge["parts"]} == dict.fromkeys(parts, 0.5)
    assert soup.publish is False and pairs.in_force(soup).base == standing.published
    text = text_of(client.get(f"/submissions/{soup.pk}/"))
    assert "0.5 × first" in text and "0.5 × third" in text and "unranked" in text
    assert "soup of 2" in text_of(client.get(f"/submissions/{brewed['first'].pk}/"))
    assert str(soup.pk) not in client.get(address).content.decode()  # a merge is no fine-tune


@pytest.mark.parametrize(("names", "model", "beside", "says"), [
    (("first",), "soup", "id_parts", "A soup takes 2 to 20 different checkpoints."),
    ((), "soup", "id_parts", "A soup takes 2 to 20 different checkpoints."),
    (("first", "tuned"), "soup", "id_parts", "is none of your fine-tunes of this base"),
    (("first", "second"), "Not A Name", "id_model", "lower-case letters"),
])  # fmt: skip
def test_a_soup_is_refused_beside_the_field(standing, published, brewed, names, model, beside, says):
    everyones = published | brewed
    values = {"parts": [str(everyones[name].pk) for name in names], "model": model}
    refused = client_of(standing.owner).post(f"/submissions/{standing.published.pk}/soup/", values)
    html = refused.content.decode()
    assert refused.status_code == 400 and re.search(rf'<li><a href="#{beside}">[^<]*</a>: [^<]*{says}', html)
    own = html[html.index("<form") :]
    wrong = own[own.index('wrong"') :]
    assert says in wrong and f'id="{beside}"' in wrong and own.count('wrong"') == 1
    ticked = {name for name, each in brewed.items() if re.search(rf'value="{each.pk}" checked', html)}
    assert ticked == set(names) & set(brewed) and not Submission.objects.filter(merge__isnull=False).exists()


def test_all_that_is_wrong_with_a_soup_is_said_at_once(standing, brewed):
    refused = client_of(standing.owner).post(f"/submissions/{standing.published.pk}/soup/", {"model": "Not A Name"})
    text = text_of(refused)
    assert "2 things to put right" in text and "A soup takes 2 to 20" in text and "lower-case letters" in text


def test_a_soup_named_as_another_authors_model_is_refused(standing, brewed):
    values = {"parts": [str(each.pk) for each in brewed.values()], "model": "weak"}
    refused = client_of(standing.owner).post(f"/submissions/{standing.published.pk}/soup/", values)
    assert refused.status_code == 403 and "belongs to another author" in text_of(refused)


def test_a_soup_is_offered_to_who_has_two_fine_tunes_of_one_base(standing, published, brewed):
    for client, offered in ((client_of(standing.owner), True), (client_of(standing.stranger), True),
                            (client_of(standing.staff), False), (client_of(), False)):  # fmt: skip
        assert ("(a soup)" in text_of(client.get("/models/strong/"))) is offered
    offered = client_of(standing.owner).get(f"/submissions/{standing.published.pk}/soup/").content.decode()
    assert not any(str(each.pk) in offered for each in published.values())  # the other author's
    Submission.objects.filter(pk__in=[brewed[name].pk for name in ("first", "second")]).update(state="withdrawn")
    assert "(a soup)" not in text_of(client_of(standing.owner).get("/models/strong/"))
    assert client_of(standing.owner).post(f"/submissions/{standing.published.pk}/soup/").status_code == 404


def test_the_form_of_a_merge_leads_to_the_soup(standing, brewed):
    make_interpolation(brewed["first"])
    html = client_of(standing.owner).get(f"/submissions/{brewed['first'].pk}/merge/").content.decode()
    assert f'href="/submissions/{standing.published.pk}/soup/"' in html


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
    offered = html[html.index('<datalist id="bases">') :].partition("</datalist>")[0]
    assert '<option value="strong">' in offered and '<option value="secret">' in offered
    refused = client.post("/submit/", {"kind": "checkpoint", "release": "standing", "model": "x", "target": TARGET})
    assert re.search(r'value="stain=hematoxylin and eosin" checked', refused.content.decode())


def test_a_private_base_is_named_but_not_linked(standing, tuned):
    Submission.objects.filter(pk=standing.hidden.pk).update(kept_private=True, owner=standing.stranger)
    links.declare(tuned, str(standing.hidden.pk), TARGET, by=standing.stranger)
    text, html = text_of(page := client_of().get("/models/tuned/")), page.content.decode()
    assert "which its author keeps private" in text and str(standing.hidden.pk) not in html


def test_a_base_that_is_kept_private_is_not_offered_to_be_published(standing):
    client, address = client_of(standing.owner), f"/submissions/{standing.hidden.pk}/"
    assert f'href="{address}publish/"' in client.get(address).content.decode()
    Submission.objects.filter(pk=standing.hidden.pk).update(kept_private=True)
    page = client.get(address)
    assert "publish/" not in page.content.decode() and "Kept private: a base for other submissions" in text_of(page)
    assert "scored" in text_of(page) and "Not published" not in text_of(page)
    assert re.search(r'<ol class="states".*kept private.*</ol>', page.content.decode(), re.S)
    assert "a base for other submissions" in text_of(client.get(f"{address}publish/"))
    assert client.post(f"{address}publish/").status_code == 409
    standing.hidden.refresh_from_db()
    assert not standing.hidden.publish and not standing.hidden.entries.exists()

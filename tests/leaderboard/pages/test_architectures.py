"""The register of architectures as a page, beside the submit form and as JSON; with and without JavaScript."""

import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils.http import urlencode

from evaluator.architectures.registry import list_architectures
from leaderboard.models import Submission
from tests.builders.leaderboard import make_release, make_user

pytestmark = pytest.mark.django_db
PAGE = "/architectures/"
API = "/api/v1/architectures/"
ROW = re.compile(r'<tr role="row" id="([^"]+)">')
TWIN_WARNING = "has the same tensors and another activation"


@pytest.fixture
def client():
    client = Client()
    client.force_login(make_user("ada"))
    make_release("tiny")
    return client


def shown(query: str = "") -> list[str]:
    answer = Client().get(f"{PAGE}{query}")
    assert answer.status_code == 200
    return ROW.findall(answer.content.decode())


def test_every_architecture_has_a_row_to_link_to_and_the_page_is_light(django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = Client().get(PAGE, headers={"accept-encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip" and len(answer.content) < 60_000
    assert shown() == [found.name for found in list_architectures()]


def test_equal_tensors_lead_to_each_other():
    page = Client().get(f"{PAGE}?search=vit-b-32").content.decode()
    row = page.split('id="ViT-B-32-quickgelu"')[1].split("</tr>")[0]
    assert "QuickGELU" in row and f'href="{PAGE}#ViT-B-32">ViT-B-32</a>: scores differ' in row
    assert "scores differ" not in page.split('id="ViT-B-32-256"')[1].split("</tr>")[0]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"search": "QUICKGELU vit-b-"}, {"ViT-B-16-quickgelu", "ViT-B-32-quickgelu"}),
        ({"search": "378 px squash quickgelu"}, {"ViT-H-14-378-quickgelu"}),
        ({"search": "no such thing"}, set()),
        ({"family": "contrastive", "search": "ViT-B-32-quickgelu"}, {"ViT-B-32-quickgelu"}),
    ],
)
def test_page_and_api_find_the_same(query, expected):
    assert set(shown(f"?{urlencode(query)}")) == expected
    assert {found["name"] for found in Client().get(API, query).json()} == expected


def test_nothing_found_is_a_way_back():
    page = Client().get(f"{PAGE}?search=<b>nope").content.decode()
    assert "No architecture fits" in page and 'value="&lt;b&gt;nope"' in page and "<b>nope" not in page


@pytest.mark.parametrize("query", [{"family": "nope"}, {"family": "\x00"}, {"search": "x" * 81}])
def test_what_cannot_be_asked_is_a_sentence(query):
    answer = Client().get(PAGE, query)
    assert answer.status_code == 400 and "<li>" in answer.content.decode()
    body = Client().get(API, query).json()
    assert body["errors"][0]["field"] == next(iter(query)) and body["errors"][0]["message"]


def test_the_api_gives_all_facts_in_one_answer():
    listed = {found["name"]: found for found in Client().get(API).json()}
    assert list(listed) == [found.name for found in list_architectures()]
    one, other = listed["ViT-B-32"], listed["ViT-B-32-quickgelu"]
    assert (one["twin"], other["twin"]) == ("ViT-B-32-quickgelu", "ViT-B-32")
    assert (one["activation"], other["activation"]) == ("GELU", "QuickGELU")
    assert (one["image_px"], one["context_length"], one["library"]) == (224, 77, "open_clip")
    assert one["parameters"] == other["parameters"] > 1e8 and "bicubic" in one["preprocessing"]


def test_the_form_asks_for_the_facts_of_what_is_chosen(client):
    page = client.get("/submit/").content.decode()
    assert f'hx-get="{PAGE}chosen/"' in page and 'hx-target="#chosen-architecture"' in page
    assert TWIN_WARNING not in page and "/htmx.min" in page
    fragment = client.get(f"{PAGE}chosen/?architecture=ViT-B-32").content.decode()
    assert "ViT-B-32-quickgelu has the same tensors" in fragment and "bicubic" in fragment and "<html" not in fragment
    assert TWIN_WARNING not in client.get(f"{PAGE}chosen/?architecture=ViT-B-32-256").content.decode()
    assert not client.get(f"{PAGE}chosen/?architecture=").content.decode().strip()
    assert client.get(f"{PAGE}chosen/?architecture=nope").status_code == 400


def test_without_javascript_a_button_shows_them_and_keeps_the_form(client):
    page = client.get("/submit/").content.decode()
    button = re.search(r"<noscript>(<button[^>]*>)", page).group(1)
    assert 'name="show"' in button and 'formenctype="application/x-www-form-urlencoded"' in button
    sent = {"kind": "checkpoint", "release": "tiny", "model": "my-clip", "architecture": "ViT-B-32", "base": "",
            "file": "huge.safetensors", "publish": "on", "show": "1"}  # fmt: skip
    answer = client.post("/submit/", urlencode(sent), content_type="application/x-www-form-urlencoded")
    page = answer.content.decode()
    assert answer.status_code == 200 and not Submission.objects.exists() and 'role="alert"' not in page
    assert "ViT-B-32-quickgelu has the same tensors" in page
    assert 'value="my-clip"' in page and '<option value="ViT-B-32" selected>' in page
    assert re.search(r'name="publish"[^>]* checked', page)


def test_a_refused_form_still_says_what_was_chosen(client):
    file = SimpleUploadedFile("mine.safetensors", b"")
    sent = {"kind": "checkpoint", "release": "tiny", "model": "mine", "architecture": "RN50", "file": file}
    answer = client.post("/submit/", sent)
    assert answer.status_code == 400 and "RN50-quickgelu has the same tensors" in answer.content.decode()
    prefilled = client.get("/submit/?architecture=ViT-B-32-quickgelu").content.decode()
    assert "ViT-B-32 has the same tensors" in prefilled
    assert TWIN_WARNING not in client.get("/submit/?architecture=nope").content.decode()


@pytest.fixture
def placed(tmp_path, monkeypatch):
    """Two folders as organisers place them: one good, one whose description is missing."""
    files = {
        "architecture.json": {"family": "generative", "library": "transformers", "parameters": 7_000_000_000,
                              "image_px": 336, "context_length": 4096, "notes": "For <i>replies</i>."},
        "config.json": {"model_type": "llava", "text_config": {"hidden_act": "silu"}, "vision_config": {}},
        "tokenizer.json": {}, "preprocessor_config.json": {},
    }  # fmt: skip
    for folder in ("llava-7b", "broken-one"):
        (tmp_path / folder).mkdir()
        for name, content in files.items():
            (tmp_path / folder / name).write_text(json.dumps(content))
    (tmp_path / "broken-one/architecture.json").unlink()
    monkeypatch.setenv("UBENCH_ARCHITECTURES", str(tmp_path))


def test_what_organisers_place_stands_in_the_register_at_once(client, placed):
    assert shown("?family=generative") == ["llava-7b"] and shown("?search=llava") == ["llava-7b"]
    page = client.get(f"{PAGE}?search=replies").content.decode()
    assert "transformers, llava" in page and "For &lt;i&gt;replies&lt;/i&gt;." in page and "SiLU" in page
    assert {found["name"] for found in client.get(API, {"family": "generative"}).json()} == {"llava-7b"}
    form = client.get("/submit/?architecture=llava-7b").content.decode()
    assert '<optgroup label="generative">' in form and '<option value="llava-7b" selected>' in form
    assert "whole images through the model" in form


def test_a_folder_that_cannot_be_used_is_told_to_organisers_alone(client, placed):
    assert "broken-one" not in client.get(PAGE).content.decode() and "broken-one" not in shown()
    staff = Client()
    staff.force_login(make_user("organiser", is_staff=True))
    page = staff.get("/organise/").content.decode()
    assert "<code>broken-one</code>: architecture.json is missing." in page and "<code>llava-7b" not in page

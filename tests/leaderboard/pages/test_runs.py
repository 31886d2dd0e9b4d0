"""What a run cost, and what is said of its precision and its replies: on boards, reports, model pages and as JSON."""

import csv
import io
import re

import pytest
from django.test import Client

from evaluator.release.schema import Split
from leaderboard.boards import snapshots
from leaderboard.models import Evaluation, WorkerStatus
from leaderboard.pages import runs
from leaderboard.runs import read_run
from tests.builders.leaderboard import make_submission, make_user

pytestmark = pytest.mark.django_db
BOARD = "/releases/standing/overall/"
RUN = {
    "device": {"kind": "cuda", "name": "NVIDIA H100 80GB HBM3", "driver": "550.54.15"}, "precision": "fp32",
    "official_precision": True, "images_per_s": 85.34, "peak_memory_bytes": 6_412_000_000, "sandbox": "bubblewrap",
    "seconds": {"total": 252.4}, "counts": {"images": 400, "texts": 900, "truncated_texts": 3, "image_batch": 64},
    "resumed_at": 128,
}  # fmt: skip
BF16 = RUN | {"precision": "bf16", "official_precision": False}
COMPARED = BF16 | {"agreement": {"rows": 400, "same_choice": 0.9925}}


def give(submission, run, split="test"):
    """Let the evaluation have been run like this, and rebuild the boards."""
    Evaluation.objects.filter(submission=submission, split=split).update(run=run)
    snapshots.refresh(submission.release, split)


def page(address: str) -> str:
    answer = Client().get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def board_row(model: str = "strong") -> str:
    return page(BOARD).split(f'href="/models/{model}/"')[1].split("<tr")[0]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({}, {}),
        ({"sandbox": "bubblewrap"}, {}),
        (
            RUN,
            {
                "device": "NVIDIA H100 80GB HBM3, driver 550.54.15", "speed": "85.3 images/s",
                "peak memory": "6.4 GB of the GPU", "precision": "fp32", "time": "4 min 12 s",
                "cut texts": "3 of 900 texts were longer than the context", "batch": "64 images at a time",
                "resumed": "an interruption on our side; 128 images had been done and were kept",
            },
        ),
        ({"device": {"kind": "cpu", "name": "cpu, 2 threads", "driver": "550"}, "images_per_s": None,
          "peak_memory_bytes": 900_000_000, "resumed_at": None, "counts": {"truncated_texts": 0}},
         {"device": "cpu, 2 threads", "peak memory": "900.0 MB of RAM"}),
        (
            {"device": {"kind": "cpu", "name": "cpu"}, "images_per_s": 2314.2,
             "counts": {"unparsed_replies": 12, "unfinished_replies": 1}},
            {
                "device": "cpu", "speed": "2\u202f314 images/s",
                "unparsed replies": "12 named no single option and count as wrong",
                "unfinished replies": "1 were cut at the longest reply allowed",
            },
        ),
    ],
)  # fmt: skip
def test_what_was_recorded_is_said_and_nothing_else(run, expected):
    assert dict(runs.course(read_run(run))) == expected


def test_reduced_precision_says_how_far_it_agrees_once_that_is_known():
    assert (
        dict(runs.cost(read_run(BF16)))["precision"] == "bf16, not the official fp32; not compared with a run in fp32"
    )
    assert dict(runs.cost(read_run(COMPARED)))["precision"] == (
        "bf16, not the official fp32; 99.2 % of 400 choices agree with fp32"
    )


def test_reduced_precision_is_marked_wherever_the_entry_stands(standing):
    assert "bf16" not in page(BOARD)
    give(standing.published, BF16)
    assert ">bf16</a>" in board_row() and "agree with" not in board_row()
    give(standing.published, COMPARED)
    assert ">bf16</a>" in board_row() and "99.2 % of its choices agree with fp32." in board_row()
    assert ">bf16</a>" not in board_row("weak")
    assert ">bf16</small>" in board_row() and ">bf16</span>" in page("/")  # on a phone, and on the home page
    legend = page(BOARD).split('id="mark-precision"')[1].split("</dd>")[0]
    assert "not in fp32" in legend
    report = page(f"/submissions/{standing.published.pk}/")
    assert re.search(r"Report, test split <span class=\"mark warn\"[^>]*>bf16</span>", report)
    assert "99.2 % of 400 choices" in report and report.count(">bf16</span>") == 1  # not on the other splits
    assert "99.2 % of its choices" in page("/models/strong/")
    row = Client().get("/api/v1/releases/standing/boards/overall/").json()["rows"][0]
    assert (row["precision"], row["agreement"], row["unparsed"]) == ("bf16", 0.9925, None)
    rows = csv.DictReader(io.StringIO(page(f"{BOARD}?format=csv")))
    assert {row["model"]: row["precision"] for row in rows}["strong"] == "bf16"


def test_a_board_narrowed_by_facets_has_the_marks_and_follows_them(standing):
    facet, found = next(iter(standing.release.summary["test"]["facets"].items()))

    def marked():
        rows = snapshots.get_board(standing.release, Split.TEST, "overall", {facet: tuple(found)}).rows
        return {row.model: (row.precision, row.agreement) for row in rows if row.precision}

    assert marked() == {}
    give(standing.published, BF16)
    assert marked() == {"strong": ("bf16", None)}
    give(standing.published, COMPARED)
    assert marked() == {"strong": ("bf16", 0.9925)}


def test_model_and_submission_say_what_a_run_takes(standing, django_assert_max_num_queries):
    give(standing.published, RUN)
    standing.strong.architecture = "ViT-B-32"
    standing.strong.save()
    with django_assert_max_num_queries(12):  # one per split on which it stands, two each for its base and labels
        shown = page("/models/strong/")
    use = shown.split("Use this model")[1].split("</section>")[0]
    assert '<a href="/architectures/#ViT-B-32">ViT-B-32</a>' in use and "bicubic" in use
    assert "GELU" in use and "ViT-B-32-quickgelu has the same tensors with QuickGELU" in use
    assert "85.3 images/s" in use and "6.4 GB of the GPU" in use and "test split of" in use
    shown = page(f"/submissions/{standing.published.pk}/")
    assert "85.3 images/s" in shown and "4 min 12 s" in shown and 'href="/architectures/#ViT-B-32"' in shown
    evaluations = Client().get(f"/api/v1/submissions/{standing.published.pk}/").json()["evaluations"]
    ran = {found["split"]: found.get("run") for found in evaluations}
    assert ran["test"]["images_per_s"] == 85.34 and ran["test"]["counts"]["truncated_texts"] == 3
    assert ran["dev"] is None and "sandbox" not in ran["test"]


def test_a_model_without_a_recorded_run_says_nothing_of_one(standing):
    assert "What a run takes" not in page("/models/weak/")
    standing.weak.architecture = "of-old"
    standing.weak.save()
    assert "of-old, not in the register" in page("/models/weak/")


def test_unparsed_replies_and_the_papers_rule_stand_beside_ours(standing):
    report = standing.published.evaluations.get(split="test").reports.get()
    document = report.document
    document["counts"]["null"] = {"answered": 400, "unparsed": 12}
    task = document["tasks"][0]["task"]
    document["paper_rule"] = {
        "n_replies": 400, "tasks": [{"task": task, "n_questions": 9, "accuracy": 0.4567}],
        "aggregates": dict.fromkeys(document["aggregates"], None) | {"macro": 0.6543},
    }  # fmt: skip
    assert "unparsed" not in page(BOARD) and "paper’s rule" not in page(f"/submissions/{standing.published.pk}/")
    report.document = document
    report.save()
    snapshots.refresh(standing.release, "test")
    assert ">3.0 % unparsed</a>" in board_row() and 'id="mark-unparsed"' in page(BOARD)
    assert Client().get("/api/v1/releases/standing/boards/overall/").json()["rows"][0]["unparsed"] == 0.03
    shown = page(f"/submissions/{standing.published.pk}/")
    assert "12 replies named no single option" in shown and "The paper’s rule reads the 400 raw replies" in shown
    headline = shown.split("Overall (macro)")[1].split("</tr>")[0]
    assert '<td class="num muted">65.4</td>' in headline
    assert '<td class="num muted">45.7</td>' in shown.split(f"/{task}/?split=test")[1].split("</tr>")[0]


def test_only_kinds_that_stand_on_the_board_can_be_chosen(standing):
    def kinds(query=""):
        return re.findall(r"<option[^>]*>(\w+)", page(f"{BOARD}{query}").split('name="kind"')[1].split("</select>")[0])

    assert kinds() == ["all", "checkpoint", "baseline"]
    assert kinds("?kind=predictions") == ["all", "checkpoint", "predictions", "baseline"]  # what is chosen stays


def test_a_rejected_set_is_named_as_a_set(standing):
    names = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)] + ["model.safetensors.index.json"]
    fields = {"problems": [{"code": "x", "message": "y"}], "problem_counts": {"x": 1}, "file_name": names[-1]}
    client = Client()
    client.force_login(standing.owner)
    for some, expected in (
        (names, f"The set was 4 files: <code>{names[0]}</code> … <code>{names[-1]}</code>."),
        (names[2:], f"The set was 2 files: <code>{names[2]}</code>, <code>{names[3]}</code>."),
        (names[3:], f"The file was <code>{names[3]}</code>."),
    ):
        files = [{"name": name, "sha256": "0" * 64, "size": 1} for name in some]
        rejected = make_submission(standing.owner, standing.release, "rejected", files=files, **fields)
        assert expected in client.get(f"/submissions/{rejected.pk}/").content.decode()


def test_a_sick_worker_says_so_and_what_to_do():
    facts = {"host": "gpu-node-7", "pid": 4711, "queue": "evaluate", "device": "cuda"}
    info = {"sandbox": "bubblewrap", "images_per_s": 2314.2, "peak_memory_bytes": 6_412_000_000}
    WorkerStatus.objects.create(name="well", info=info, **facts)
    client = Client()
    client.force_login(make_user("organiser", is_staff=True))
    shown = client.get("/organise/").content.decode()
    assert '<span class="state good">idle</span>' in shown and "sick" not in shown
    assert ">2314.2<" in shown and ">6.4 GB<" in shown and "sandbox bubblewrap</td>" in shown
    WorkerStatus.objects.create(name="ill", info={"sick": "The GPU <b>keeps</b> 1.4 GB."}, **facts)
    shown = client.get("/organise/").content.decode()
    assert "1 worker is sick and claims nothing." in shown and '<span class="state bad">sick</span>' in shown
    assert "The GPU &lt;b&gt;keeps&lt;/b&gt; 1.4 GB." in shown and "goes on by itself" in shown
    assert '<span class="state good">idle</span>' in shown

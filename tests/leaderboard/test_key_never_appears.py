"""The key never appears: hidden fields carry sentinels, and none is found in anything shown, stored or handed out."""

import json
import logging
import secrets
import shutil
from copy import deepcopy
from itertools import product

import pytest
from django.core.management import call_command
from django.test import Client

from evaluator.errors import InputError
from evaluator.predictions.check import check_file
from evaluator.release.importer import import_hub
from evaluator.release.key import read_key
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split
from evaluator.sandbox.handover import as_stream
from leaderboard import submissions
from leaderboard.intake import NewSubmission
from leaderboard.lineage import derived, sweeps
from leaderboard.models import Evaluation, LabelEfficiency, Release, Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.queue import Queue
from leaderboard.states import EvaluationState
from leaderboard.uploads import received_from
from leaderboard.workers.drain import drain
from tests.builders import surfaces
from tests.builders.hub import hub_box, hub_rows, write_hub
from tests.builders.leaderboard import make_user
from tests.builders.system import tiny_weights
from tests.builders.weights import TINY

pytestmark = pytest.mark.django_db(transaction=True)
ITEMS_PER_SPLIT = 6
SPLITS = ("dev", "test", "sealed")


@pytest.fixture
def sentinel() -> str:
    return f"s{secrets.token_hex(8)}"


@pytest.fixture
def roots(tmp_path, settings, services):
    """Folders of this test's own, so that all of them can be searched."""
    for name in ("RELEASE_ROOT", "KEY_ROOT", "MEDIA_ROOT", "UPLOAD_ROOT", "WORK_ROOT", "PIXEL_CACHE_ROOT"):
        setattr(settings, name, tmp_path / name.lower())
    settings.FILE_UPLOAD_TEMP_DIR = settings.UPLOAD_ROOT
    settings.UPLOAD_ROOT.mkdir()
    blobs = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": settings.MEDIA_ROOT}}
    settings.STORAGES = settings.STORAGES | {"default": blobs}
    return [
        settings.RELEASE_ROOT, settings.MEDIA_ROOT, settings.UPLOAD_ROOT, settings.WORK_ROOT, settings.PIXEL_CACHE_ROOT
    ]  # fmt: skip


@pytest.fixture
def corner() -> float:
    """A number that stands nowhere else: where hidden boxes begin."""
    return float(f"3.{secrets.randbelow(10**12) + 10**12}1")


def import_with_sentinels(tmp_path, sentinel, corner) -> Release:
    rows = given_rows()
    for number, row in enumerate(rows):
        if row["split"] != "dev":
            row["image_id"] = f"{sentinel}{number // 2}_{number}"
            row["image"]["path"] = f"{sentinel}/{number}.png"
            row["pmid"] = row["label_name"] = row["institution"] = sentinel
            row["bbox"] = [hub_box("cell", corner)] if row["bbox"] else []
    rule = [f"{dataset}=^(.+)_[^_]+$" for dataset in ("cells_a", "cells_b")]
    call_command("import_release", str(write_hub(tmp_path / "hub", rows)), slug="hidden", splits="given", source=rule)
    return Release.objects.get()


def submit(owner, release, path, **fields) -> Submission:
    new = NewSubmission(release=release, files=(received_from(path),), publish=True, **fields)
    return submissions.submit(owner, new)


def test_no_hidden_field_leaves_the_key(tmp_path, sentinel, corner, roots, settings, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    release = import_with_sentinels(tmp_path, sentinel, corner)
    owner, staff = make_user(), make_user(is_staff=True)
    checkpoint = submit(owner, release, tiny_weights(), model="mine", kind=SubmissionKind.CHECKPOINT, architecture=TINY)
    fields = {"kind": SubmissionKind.CHECKPOINT, "architecture": TINY, "base": "mine"}
    tuned = submit(owner, release, tiny_weights(1), model="tuned", **fields)
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text(json.dumps({"dataset": "cells_a", "image_id": "x", "question": "stain", "option": 0}) + "\n")
    rejected = submit(owner, release, wrong, model="mine", kind=SubmissionKind.PREDICTIONS, split="test")
    for queue in Queue:
        drain(queue)
    sweeps.ask(tuned, by=owner)
    merge = derived.submit_merge(Submission.objects.get(pk=tuned.pk), 0.5, "merge", by=owner)
    drain(Queue.VALIDATE)
    submissions.cancel(merge, by=owner)  # its answers would be one more checkpoint's
    for queue in (Queue.EVALUATE, Queue.SCORE, Queue.STUDY):
        drain(queue)
    assert LabelEfficiency.objects.filter(submission__in=(checkpoint, tuned)).count() == 4
    states = Evaluation.objects.exclude(submission=merge).values_list("state", flat=True)
    assert set(states) == {EvaluationState.SCORED}
    assert list(settings.PIXEL_CACHE_ROOT.glob("*.pixels")), "decoded images are among what is searched"

    found = [surface for folder in roots for surface in surfaces.files(folder)] + list(surfaces.tables())
    starts = ["/", "/api/v1/schema/", "/api/v1/releases/", "/api/v1/models/", "/releases/hidden/", "/models/"]
    shown = (checkpoint, tuned, merge, rejected)
    starts += [f"{prefix}/submissions/{row.pk}/" for row in shown for prefix in ("", "/api/v1")]
    starts += [f"/api/v1/submissions/{tuned.pk}/{what}/" for what in ("lineage", "forgetting", "interpolation")]
    starts += [f"/api/v1/submissions/{row.pk}/label-efficiency/" for row in shown]
    starts += [f"/api/v1/releases/hidden/{what}/" for what in ("label-efficiency", "strategies")]
    for board, split in product(("overall", "fine", "cells_a", "coarse-stain", "localisation-cells_a"), SPLITS):
        starts += [f"/releases/hidden/{board}/?split={split}", f"/api/v1/releases/hidden/boards/{board}/?split={split}"]
    for user in (None, owner, staff):
        client = Client()
        if user:
            client.force_login(user)
        found += surfaces.pages(client, [*starts, "/organise/", "/account/", "/submit/"])
    logs = caplog.text + "".join(capfd.readouterr())
    found.append(("logs", logs.encode()))

    assert {f"200 {address}" for address in starts} <= {name for name, _ in found}
    assert len(found) > 500
    secret = (sentinel.encode(), repr(corner).encode())
    assert [name for name, content in found if any(each in content for each in secret)] == []
    assert [name for name, _ in found if name.startswith("5")] == []
    kept = [name for name, content in surfaces.files(settings.KEY_ROOT) if all(each in content for each in secret)]
    assert {name.split("/")[-1] for name in kept} >= {"test.parquet (rows)", "sealed.parquet (rows)"}, "search is blind"


def with_other_answers(rows: list[dict]) -> list[dict]:
    """The same questions, but in hidden splits another option is right everywhere."""
    rows = deepcopy(rows)
    for row in rows:
        if row["split"] != "dev":
            for asked in (*row["questions"].values(), *row["captions"].values()):
                asked["answer_idx"] = (asked["answer_idx"] + 1) % len(asked["options"])
                asked["answer"] = asked["options"][asked["answer_idx"]]
            row["bbox"] = [hub_box("cell", 4.0)] if row["bbox"] else [hub_box("cell")] * (row["dataset"] == "cells_a")
    return rows


def given_rows() -> list[dict]:
    rows = hub_rows(ITEMS_PER_SPLIT * len(SPLITS))
    for number, row in enumerate(rows):
        row["split"] = SPLITS[number // ITEMS_PER_SPLIT]
        if row["dataset"] == "cells_a" and number % 4:
            row["bbox"] = [hub_box("cell")]
    return rows


def test_other_right_answers_change_no_byte_outside_the_key(tmp_path):
    public, keys, errors = [], [], []
    for number, rows in enumerate((given_rows(), with_other_answers(given_rows()))):
        folder = tmp_path / f"release-{number}"
        import_hub(write_hub(tmp_path / f"hub-{number}", rows), folder, splits="given", name="n", version="1",
                   id_secret=bytes(32))  # fmt: skip
        keys.append({split: read_key(folder / "keys", Split(split)) for split in SPLITS})
        shutil.rmtree(folder / "keys")
        handed = {
            f"{split}/{name}": as_stream(read(folder, Split(split)))
            for split in SPLITS for name, read in (("items", read_items), ("questions", read_questions))
        }  # fmt: skip
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        public.append(files | handed)
        errors.append(problems_of_a_wrong_file(folder, tmp_path))
    assert public[0] == public[1]
    assert {"packs/dev.zip", "packs/test.zip", "sealed/questions"} <= set(public[0])
    assert errors[0] == errors[1]
    assert keys[0]["dev"].equals(keys[1]["dev"])
    assert not keys[0]["test"].equals(keys[1]["test"])


def problems_of_a_wrong_file(release, tmp_path) -> list[dict]:
    rows = [
        {name: row[name] for name in ("dataset", "image_id", "question", "variant")} | {"option": row["options"][0]}
        for row in read_questions(release, Split.TEST).to_pylist()
    ]  # fmt: skip
    rows[0]["option"], rows[1]["option"] = "not an option", 99
    path = tmp_path / "wrong.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    with pytest.raises(InputError) as error:
        check_file(path, release, Split.TEST)
    return [problem.as_dict() for problem in error.value.problems]

"""One evaluation that answers at every α between base and tuned. In: material, two checkpoints; out: a Sweep.

The model is built once and its parameters are interpolated in place; images are decoded once; what does not differ is
not touched again, and a tower in which nothing differs embeds once for all α. Batches are those of
`evaluator.answering.run`, so that α = 0 and 1 give exactly the answers of base and tuned alone.
"""

import io
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import exp, isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from evaluator.answering.material import Material, open_material
from evaluator.answering.parts import Part, Resume
from evaluator.answering.progress import MAIN_STAGE, OnProgress, Progress, Stage, StageClock
from evaluator.answering.questions import require_protocol
from evaluator.answering.record import describe_run
from evaluator.answering.run import digest_of
from evaluator.answering.settings import BATCH_SIZES, RunSettings
from evaluator.answering.sweeps.interpolated import (
    ContrastiveSplit,
    InterpolatedWeights,
    OtherSplit,
    split_for,
    unchanged_towers,
)
from evaluator.answering.sweeps.sweep_answers import GIVEN, NON_FINITE, check_alphas, keeps_scores, name_rows
from evaluator.architectures.architecture import Architecture, Family
from evaluator.encoders.device import peak_memory, prepare_device
from evaluator.encoders.loading import fill_model, maker_of
from evaluator.errors import EvaluationFailed
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import Checkpoint
from evaluator.weights.merging import Member, compare_members, match_pair

PURPOSE = "sweep"
BROKEN = b"broken"  # in the schema of a part: why its α has no rows


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """given: GIVEN, the rows asked of every split at every α that has answers. rows: what was asked, by split. record:
    the content of run.json."""

    given: pa.Table
    rows: dict[Split, pa.Table]
    record: dict[str, Any]

    @property
    def answers(self) -> pa.Table:
        """SWEEP."""
        broken = {each["alpha"] for each in self.record["broken"]}
        return name_rows(self.given, self.rows, [alpha for alpha in self.record["alphas"] if alpha not in broken])


def sweep_splits(
    materials: Sequence[Material],
    base: Checkpoint,
    tuned: Checkpoint,
    architecture: Architecture,
    alphas: Sequence[float],
    settings: RunSettings,
    clock: StageClock,
    *,
    base_sha256: str | None = None,
    tuned_sha256: str | None = None,
    sandbox: str = "none",
    resume: Resume | None = None,
) -> Sweep:
    """Answer every split in `materials` at every α with the tuned model's architecture, and record how.

    resume: a part is one α with its answers to all splits. base_sha256, tuned_sha256: refuse any but the ones
    validated. An α at which the model gives NaN or infinite numbers has no rows; record["broken"] names it. Raises
    InputError (`bad_alphas`, `base_other_architecture`, `non_finite_weights`, `weights_changed` and as `answer_split`)
    and EvaluationFailed, `non_finite_output` only where no α has answers.
    """
    started = time.monotonic()
    resume, alphas = resume or Resume(), check_alphas(alphas)
    require_protocol(settings.protocol, architecture.family)
    clock.report(Stage.LOAD, 0, 1)
    digests = digest_of(base, base_sha256, "base"), digest_of(tuned, tuned_sha256, "tuned")
    ours, theirs = match_pair(base, tuned, architecture)
    found = compare_members(ours, theirs)
    device = prepare_device(settings.device)
    sizes = settings.sizes or BATCH_SIZES[device.type]
    settings = replace(settings, sizes=sizes)
    model = fill_model(tuned, theirs.match, architecture).to(device)
    weights = InterpolatedWeights(model, ours, theirs, found)
    loaded = maker_of(architecture).wrap_model(model, architecture, device, settings.precision)
    clock.report(Stage.LOAD, 1, 1)

    splits = [split_for(loaded, architecture, material, settings, sizes) for material in materials]
    unchanged = unchanged_towers(weights, [split for split in splits if isinstance(split, ContrastiveSplit)])
    work = _Work(splits=splits, weights=weights, alphas=alphas, unchanged=unchanged, clock=clock,
                 family=architecture.family)  # fmt: skip
    parts = [_from_part(part) for part in resume.done]
    for number in range(resume.start, len(alphas)):
        part = work.answer_at(number)
        resume.on_part(Part(start=number, stop=number + 1, content=_as_part(part)))
        parts.append(part)
    record = {
        **_how(materials, architecture, settings, device, alphas),
        "base": _weights_facts(ours, digests[0]), "tuned": _weights_facts(theirs, digests[1]),
        "merge": found.facts() | {"unchanged_towers": sorted(unchanged)},
        "logit_scale": {"base": logit_scale(ours), "tuned": logit_scale(theirs)},
        "broken": _broken(alphas, parts),
        "counts": {"images": sum(material.items.num_rows for material in materials),
                   "rows": sum(split.rows.num_rows for split in splits), "alphas": len(alphas), **work.counts},
        "seconds": {stage.value: round(took, 3) for stage, took in clock.seconds.items()}
                   | {"total": round(time.monotonic() - started, 3)},
        "images_per_s": clock.images_per_s,
        "resumed_at": resume.start or None,
        "peak_memory_bytes": peak_memory(device),
        "sandbox": sandbox,
    }  # fmt: skip
    rows = {material.split: split.rows for material, split in zip(materials, splits, strict=True)}
    given = pa.concat_tables(part.replace_schema_metadata() for part in parts).combine_chunks()
    return Sweep(given=given, rows=rows, record=record)


def sweep_release(
    release: Path, splits: Sequence[Split], base: Checkpoint, tuned: Checkpoint, architecture: Architecture,
    alphas: Sequence[float], settings: RunSettings, *, cache: PixelCache | None = None,
    on_progress: OnProgress | None = None,
) -> Sweep:  # fmt: skip
    """`sweep_splits` on splits of a release folder, in this process. `cache`: where decoded images are kept."""
    require_protocol(settings.protocol, architecture.family)
    clock, kept = StageClock(architecture.family, on_progress, sweep=True), cache or PixelCache()

    def prepared(done: int, total: int) -> None:
        clock.report(Stage.PIXELS, done, total)

    with ExitStack() as stack:
        materials = [
            stack.enter_context(open_material(release, split, architecture, kept, prepared)) for split in splits
        ]
        return sweep_splits(materials, base, tuned, architecture, alphas, settings, clock)


@dataclass(kw_only=True)
class _Work:
    """What is answered at each α."""

    splits: Sequence[ContrastiveSplit | OtherSplit]
    weights: InterpolatedWeights
    alphas: Sequence[float]
    unchanged: frozenset[str]
    clock: StageClock
    family: Family
    counts: dict[str, int] = field(default_factory=dict)  # those of the last α

    def answer_at(self, number: int) -> pa.Table:
        """GIVEN of α number `number` in every split; without rows where its numbers are not finite."""
        alpha = self.alphas[number]
        self.weights.set(alpha)
        sizes = [split.material.items.num_rows for split in self.splits]
        done, total = number * sum(sizes), len(self.alphas) * sum(sizes)
        self.clock.report(Stage.SWEEP, done, total)
        tables, counts = [], []
        for split, size in zip(self.splits, sizes, strict=True):
            try:
                answered = split.answer(StageClock(self.family, self._within(done, total)), self.unchanged)
            except EvaluationFailed as error:
                if error.code != NON_FINITE:
                    raise
                self.clock.report(Stage.SWEEP, (number + 1) * sum(sizes), total)
                return GIVEN.empty_table().replace_schema_metadata({BROKEN: error.message})
            done += size
            self.clock.report(Stage.SWEEP, done, total)
            tables.append(_kept(answered.answers, alpha))
            counts.append(answered.counts)
        names = dict.fromkeys(name for each in counts for name in each)
        self.counts = {name: max(each[name] for each in counts) if name.endswith("batch")
                       else sum(each[name] for each in counts) for name in names}  # fmt: skip
        return pa.concat_tables(tables)

    def _within(self, done: int, total: int) -> Callable[[Progress], None]:
        def tell(progress: Progress) -> None:
            if progress.stage is MAIN_STAGE[self.family]:
                self.clock.report(Stage.SWEEP, done + progress.done, total)

        return tell


def _kept(answers: pa.Table, alpha: float) -> pa.Table:
    """GIVEN of ANSWERS: what is kept of one split at one α."""
    for name in ("scores", "text") if not keeps_scores(alpha) else ():
        nothing = pa.nulls(answers.num_rows, GIVEN.field(name).type)
        answers = answers.set_column(answers.column_names.index(name), GIVEN.field(name), nothing)
    return answers.select(GIVEN.names).cast(GIVEN).replace_schema_metadata()


def _as_part(given: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, given.schema) as stream:
        stream.write_table(given)
    return sink.getvalue()


def _from_part(part: Part) -> pa.Table:
    with pa.ipc.open_stream(part.content) as stream:
        return stream.read_all()


def _broken(alphas: Sequence[float], parts: Sequence[pa.Table]) -> list[dict[str, Any]]:
    """The α without answers, and why. Raises EvaluationFailed when there is no other."""
    reasons = [(part.schema.metadata or {}).get(BROKEN) for part in parts]
    found = [
        {"alpha": alpha, "code": NON_FINITE, "message": reason.decode()}
        for alpha, reason in zip(alphas, reasons, strict=True) if reason is not None
    ]  # fmt: skip
    if len(found) == len(alphas):
        raise EvaluationFailed(NON_FINITE, found[0]["message"], retry=False)
    return found


def _how(
    materials: Sequence[Material], architecture: Architecture, settings: RunSettings, device: torch.device,
    alphas: Sequence[float],
) -> dict[str, Any]:  # fmt: skip
    described = describe_run(materials[0].info, materials[0].split, architecture, settings, device)
    del described["split"]
    return {
        **described, "purpose": PURPOSE, "splits": [material.split.value for material in materials],
        "alphas": list(alphas), "images": "blank" if materials[0].blank else "stored",
    }  # fmt: skip


def _weights_facts(member: Member, sha256: str) -> dict[str, Any]:
    checkpoint = member.checkpoint
    return {
        "sha256": sha256, "bytes": checkpoint.file_bytes, "tolerated": member.match.facts(),
        **checkpoint.adapter_facts(),
    }  # fmt: skip


def logit_scale(member: Member) -> float | None:
    """What the model multiplies cosines by; None where it has no such parameter, or one of no finite value."""
    for name, scale in (("logit_scale", exp), ("temperature", lambda value: 1 / value)):
        if name in member.expected.shapes and name in member.names:
            try:
                found = scale(float(member[name].float().reshape(-1)[0]))
            except (OverflowError, ZeroDivisionError):
                return None
            return found if isfinite(found) else None
    return None

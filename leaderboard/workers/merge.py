"""Making the file of a derived submission. In: a claimed one; out: its file stored, as if it had been sent.

The tensors are read and written in a sandboxed child; this process sees files.
"""

from contextlib import ExitStack

from evaluator.errors import InputError
from evaluator.sandbox import MergeJob, MergePart, merge_in_child
from leaderboard import bases, storage
from leaderboard.lineage.pairs import parents_of
from leaderboard.models import Submission
from leaderboard.queue.claims import Claim
from leaderboard.states import SubmissionState, TransitionRefused


def make_file(derived: Submission, claim: Claim) -> None:
    """Merge the parents in a sandboxed child and keep the file as the submission's own.

    Raises InputError when a parent is no longer to be used or does not fit, TransitionRefused for a lost claim.
    """
    parents = parents_of(derived)
    for parent in parents:
        if parent.submission.state != SubmissionState.ACCEPTED:
            message = f"{parent.submission.model} was {parent.submission.state}: its weights are not to be merged."
            raise InputError.single("parent_withdrawn", message)
    name = f"{derived.model.slug}.safetensors"
    with ExitStack() as stack, storage.work_folder("merge") as folder:
        parts = tuple(
            MergePart(
                path=stack.enter_context(storage.local_files(parent.submission)),
                base=stack.enter_context(bases.local_base(parent.submission)), weight=parent.weight,
                sha256=parent.submission.facts.get("sha256") or parent.submission.file_sha256,
            )
            for parent in parents
        )  # fmt: skip
        with (folder / name).open("wb+") as out:
            merge_in_child(MergeJob(parts=parts, architecture=derived.architecture), out)
        blob = storage.put_file(folder / name)
    files = [{"name": name, "sha256": blob.sha256, "size": blob.size}]
    if not claim.held().update(files=files, file_name=name, file_sha256=blob.sha256, file_size=blob.size):
        raise TransitionRefused(f"{derived.pk} is no longer held with token {claim.token}")
    derived.refresh_from_db()

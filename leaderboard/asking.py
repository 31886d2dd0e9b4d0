"""What a release can ask a model of some architecture. In: both; out: the splits it has questions for, and how."""

from evaluator.answers import Protocol
from evaluator.architectures.registry import get_architecture
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split
from evaluator.sandbox.checks import first_protocol
from leaderboard import storage
from leaderboard.models import Release


def protocols_asked(release: Release, architecture: str) -> dict[Split, Protocol]:
    """The protocol of each split that has anything to ask; a split without questions for this family is left out."""
    folder, family = storage.release_folder(release), get_architecture(architecture).family
    found = {}
    for split in map(Split, release.info["splits"]):
        protocol = first_protocol(read_items(folder, split), read_questions(folder, split), family)
        if protocol is not None:
            found[split] = protocol
    return found

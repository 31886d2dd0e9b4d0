"""The architectures a checkpoint may name. In: facts.json, configs, folders; out: Architecture. Torch-free.

The built-in list is frozen: open_clip's configs whose towers need no download, copied into facts.json, and our own
configs. `python -m evaluator.architectures.freeze` writes facts.json anew. Organisers add to it by folders
(`evaluator.architectures.folders`). Nothing a submitter writes reaches a loader.
"""

import json
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from evaluator.architectures.architecture import Architecture
from evaluator.architectures.folders import find_placed, placed
from evaluator.architectures.open_clip_config import describe, read_config, read_preprocessing
from evaluator.architectures.processor_config import CODE
from evaluator.errors import InputError

FOLDER = Path(__file__).parent
FACTS = FOLDER / "facts.json"
OWN_CONFIGS = FOLDER / "configs"


def list_architectures() -> list[Architecture]:
    """Every registered architecture, by name (upper and lower case alike). Broken folders are left out."""
    good, _ = list_with_broken()
    return good


def list_with_broken() -> tuple[list[Architecture], dict[str, InputError]]:
    """`list_architectures`, and what is wrong with organisers' folders that cannot be used, by name."""
    found, broken = placed()
    for name in [name for name in found if _shadowed(name)]:
        broken[name] = _shadows(name)
        del found[name]
    every = [*_built_in().values(), *found.values()]
    return sorted(every, key=lambda architecture: architecture.name.lower()), dict(sorted(broken.items()))


def get_architecture(name: str) -> Architecture:
    """The registered architecture of exactly this name. InputError `unknown_architecture` names near misses,
    `bad_architecture_folder` says what is wrong with a folder that organisers placed."""
    if name in _built_in():
        return _built_in()[name]
    found = find_placed(name)
    if found is None:
        raise _unknown(name)
    if _shadowed(name):
        raise _shadows(name)
    return found


def find_architecture(name_or_file: str) -> Architecture:
    """A registered name, or (local use only) the path of a JSON file holding an open_clip model config."""
    return read_config(Path(name_or_file)) if name_or_file.endswith(".json") else get_architecture(name_or_file)


def _unknown(name: str) -> InputError:
    lowered = {known.name.lower(): known.name for known in list_architectures()}
    near = [lowered[match] for match in get_close_matches(name[:80].lower(), lowered, n=3, cutoff=0.5)]
    hint = f" Did you mean {' or '.join(near)}?" if near else " See the list of architectures."
    message = f"No architecture is called {ascii(name[:80])}.{hint}"
    return InputError.single("unknown_architecture", message, field="architecture")


def _shadowed(name: str) -> str | None:
    """The built-in architecture that has this name, but for upper and lower case."""
    return next((known for known in _built_in() if known.lower() == name.lower()), None)


def _shadows(name: str) -> InputError:
    message = f"The folder {name} has the name of the built-in architecture {_shadowed(name)}. Give it another name."
    return InputError.single(CODE, message, field="architecture")


@cache
def _built_in() -> dict[str, Architecture]:
    facts = json.loads(FACTS.read_text(encoding="utf-8"))["architectures"]
    found = {}
    for name, fact in facts.items():
        config = fact.get("config") or json.loads((OWN_CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
        other = name.removesuffix("-quickgelu") if name.endswith("-quickgelu") else f"{name}-quickgelu"
        found[name] = describe(
            name,
            config,
            preprocessing=read_preprocessing(fact["preprocessing"]),
            image_px=fact["image_px"],
            parameters=fact["parameters"],
            twin=other if other in facts else None,
        )
    return found

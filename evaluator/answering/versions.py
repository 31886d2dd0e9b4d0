"""Which code makes the numbers. In: the installation; out: versions, and one digest of our own source. Torch-free."""

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import evaluator

LIBRARIES = (
    "torch", "torchvision", "open_clip_torch", "timm", "transformers", "tokenizers", "safetensors", "numpy", "pillow",
    "pyarrow",
)  # fmt: skip


def versions() -> dict[str, str]:
    """The evaluator, Python and every library that touches the numbers."""
    found = {"evaluator": evaluator.__version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


@cache
def code_digest() -> str:
    """SHA-256 of the evaluator's own source files, names included."""
    folder = Path(evaluator.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()

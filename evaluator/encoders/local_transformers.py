"""transformers' configs and tokenizers from a local folder: no hub, no code. In: a folder; out: objects.

What a config.json could use to change how a model is computed (attention kernels, number types, quantisation) is
dropped: the device module decides that, the same for every model.
"""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoTokenizer

from evaluator.errors import InputError

NOT_OURS = {"dtype", "torch_dtype", "attn_implementation", "quantization_config", "auto_map", "transformers_version"}
# What transformers raises on values that fit no class; only organisers write these files.
CONFIG_ERRORS = (
    TypeError, ValueError, RuntimeError, AssertionError, KeyError, AttributeError, StrictDataclassError,
)  # fmt: skip


def clean_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a config.json without private keys and those that are not the folder's to decide."""
    return {
        key: clean_config(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if key not in NOT_OURS and not key.startswith("_")
    }


def load_tokenizer(folder: Path, name: str) -> Any:
    """The tokenizer in `folder`. InputError `bad_architecture_folder` when it does not load."""
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (*CONFIG_ERRORS, OSError, ImportError) as error:
        raise does_not_load("tokenizer", name, error) from error


def does_not_load(what: str, name: str, error: BaseException) -> InputError:
    """What is told of a folder whose files transformers refuses."""
    message = f"The {what} of {name} does not load: {str(error).strip().splitlines()[0][:300] or type(error).__name__}"
    return InputError.single("bad_architecture_folder", message, field="architecture")

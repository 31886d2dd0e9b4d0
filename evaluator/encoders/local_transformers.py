"""transformers' configs and tokenizers from a local folder: no hub, no code. In: a folder; out: objects.

What a config.json could use to change how a model is computed (attention kernels, number types, quantisation) is
dropped: the device module decides that, the same for every model.
"""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoTokenizer
from transformers.utils import logging

from evaluator.errors import InputError

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # batches are small, and a sandbox counts threads
logging.set_verbosity_error()  # it comments on configs whose defaults are not used

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
        return AutoTokenizer.from_pretrained(  # nosec B615: a local folder, and nothing else
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except (*CONFIG_ERRORS, OSError, ImportError) as error:
        raise does_not_load("tokenizer", name, error) from error


def require_known_tokens(tokenizer: Any, model: Any, name: str) -> None:
    """Raise InputError `bad_architecture_folder` where the tokenizer has tokens that the model has no embedding of: the
    first text with one of them would end the run."""
    highest, n_known = max(tokenizer.get_vocab().values()), model.config.get_text_config().vocab_size
    if highest >= n_known:
        message = (f"The tokenizer of {name} has tokens up to number {highest}, and the model of its config.json only "
                   f"{n_known}. Place the tokenizer that this model was trained with.")  # fmt: skip
        raise InputError.single("bad_architecture_folder", message, field="architecture")


def does_not_load(what: str, name: str, error: BaseException) -> InputError:
    """What is told of a folder whose files transformers refuses."""
    message = f"The {what} of {name} does not load: {str(error).strip().splitlines()[0][:300] or type(error).__name__}"
    return InputError.single("bad_architecture_folder", message, field="architecture")

"""release.json. In/out: ReleaseInfo; refuses schema numbers it does not know. Knows nothing of images or keys."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from evaluator.errors import InputError
from evaluator.release.schema import SCHEMA, DatasetInfo, ReleaseInfo, Split, SplitInfo

FILE_NAME = "release.json"


def write_info(info: ReleaseInfo, folder: Path) -> None:
    """Write FOLDER/release.json, the same bytes for the same info."""
    text = json.dumps(info_as_json(info), ensure_ascii=False, indent=2, sort_keys=True)
    (folder / FILE_NAME).write_text(text + "\n", "utf-8")


def info_as_json(info: ReleaseInfo) -> dict[str, Any]:
    """The JSON shape of release.json."""
    return {"schema": SCHEMA, **asdict(info)}


def read_info(folder: Path) -> ReleaseInfo:
    """Read FOLDER/release.json. Raises InputError when the folder is no release or its schema is unknown."""
    path = Path(folder) / FILE_NAME
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError.single(
            "not_a_release", f"{folder} holds no {FILE_NAME}. Name a folder made by import-ubench or an unpacked pack."
        ) from None
    except (OSError, ValueError) as error:
        raise InputError.single("not_a_release", f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        schema = found.get("schema") if isinstance(found, dict) else None
        raise InputError.single(
            "unknown_schema", f"{path} has schema {schema!r}; this evaluator reads schema {SCHEMA}. Import it again."
        )
    try:
        return info_from_json(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError.single("not_a_release", f"{path} is damaged ({error!r}). Import the release again.") from error


def info_from_json(found: dict[str, Any]) -> ReleaseInfo:
    """The inverse of `info_as_json`; raises KeyError, TypeError or ValueError on anything else."""
    return ReleaseInfo(
        name=found["name"],
        version=found["version"],
        hash=found["hash"],
        public_items=found["public_items"],
        splits={Split(name): SplitInfo(**sizes) for name, sizes in found["splits"].items()},
        source_rule=dict(found["source_rule"]),
        datasets={
            name: DatasetInfo(**{**dataset, "licenses": tuple(dataset["licenses"])})
            for name, dataset in found["datasets"].items()
        },
        vote_groups=tuple(tuple(group) for group in found["vote_groups"]),
        notes=tuple(found["notes"]),
    )


def restrict_info(info: ReleaseInfo, splits: set[Split]) -> ReleaseInfo:
    """The same release, said to hold `splits` only: for packs and for the view of one job. The hash stays."""
    return replace(info, splits={split: sizes for split, sizes in info.splits.items() if split in splits})

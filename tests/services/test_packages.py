"""The images' package lists name only what requirements.txt pins."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def names(path: Path) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return {re.split(r"[=\s;]", line)[0].lower().replace("_", "-") for line in lines if line}


def test_every_package_of_an_image_is_pinned() -> None:
    lists = sorted((ROOT / "docker").glob("*-packages.txt"))
    assert len(lists) == 2
    for path in lists:
        assert names(path) <= names(ROOT / "requirements.txt"), path.name


def test_every_package_has_one_version() -> None:
    pins = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*( ; .+)?", pin) for pin in pins)

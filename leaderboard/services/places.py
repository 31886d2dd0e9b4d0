"""Where a pair of servers lies: folders, owner, sockets, password. In: a var folder; out: a `Services`. Starts nothing.

root/            owned by us         postgresql.conf, pg_hba.conf, redis.conf, password (0600)
root/postgres    owned by the account that runs the servers, 0700: Postgres data
root/redis       likewise: append-only file
root/sockets     link to a private folder with a short path (a socket's path may have 107 bytes)

Postgres refuses to run as root; then both servers run as `daemon` (not `nobody`, which the sandboxed child becomes).
No existing folder's mode is ever changed: where `daemon` cannot reach `var_dir`, root lies under /var/lib and
`var_dir` holds a link to it.
"""

import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

SYSTEM_ROOT = Path("/var/lib/ubench-leaderboard")
DATABASE = USER = "leaderboard"


class ServicesError(Exception):
    """The servers cannot be started; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who runs the servers; `drop` holds the subprocess arguments that become it (empty: ourselves)."""

    uid: int
    gid: int
    drop: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Services:
    """A pair of servers and how to reach it; `embeds_*` is False for a server that the environment named."""

    link: Path  # in the var folder; root itself, or a link to it
    root: Path
    sockets: Path
    account: Account
    database_url: str
    redis_url: str
    embeds_postgres: bool
    embeds_redis: bool
    lock: IO[str] | None = field(default=None, repr=False)

    def environment(self) -> dict[str, str]:
        """What the server's settings read."""
        return {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}

    @property
    def password(self) -> str:
        """The embedded Postgres' password."""
        return (self.root / "password").read_text()


def prepare(var_dir: Path, *, name: str, environ: Mapping[str, str]) -> Services:
    """Make the folders, fix the URLs and take the lock of this pair; the servers are not started yet."""
    database_url, redis_url = environ.get("DATABASE_URL"), environ.get("REDIS_URL")
    account = _account()
    link = var_dir.absolute() / "services" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    root = _place(link, account)
    lock = _lock(link.with_name(f"{name}.lock"))
    if root != link:
        _point(link, root)
    make_folder(root, 0o711 if account.drop else 0o700)
    for data in ("postgres", "redis"):
        make_folder(root / data, 0o700, account)
    _write_password(root / "password")
    sockets = _sockets(root, account)
    password = (root / "password").read_text()
    return Services(
        link=link,
        root=root,
        sockets=sockets,
        account=account,
        database_url=database_url or f"postgresql://{USER}:{password}@/{DATABASE}?host={quote(str(sockets))}",
        redis_url=redis_url or f"unix://{quote(str(sockets / 'redis'))}?db=0",
        embeds_postgres=not database_url,
        embeds_redis=not redis_url,
        lock=lock,
    )


def look_up(var_dir: Path, *, name: str) -> Services:
    """The pair under `var_dir` as far as it exists: enough to stop it. Makes nothing, takes no lock."""
    account = _account()
    link = var_dir.absolute() / "services" / name
    root = _place(link, account)
    sockets = (root / "sockets").resolve()
    return Services(
        link=link,
        root=root,
        sockets=sockets,
        account=account,
        database_url="",
        redis_url="",
        embeds_postgres=True,
        embeds_redis=True,
    )


def release(services: Services) -> None:
    """Give up the sockets and the lock."""
    delete_sockets(services)
    if services.lock:
        services.lock.close()


def delete_sockets(services: Services) -> None:
    """Delete the folder of sockets, unless it is not one of ours."""
    if services.sockets.name.startswith(_sockets_prefix(services.root)) and _is_private(
        services.sockets, services.account
    ):
        shutil.rmtree(services.sockets, ignore_errors=True)
    (services.root / "sockets").unlink(missing_ok=True)


def delete(services: Services) -> None:
    """Delete the data of a stopped pair, if it is still there."""
    if services.root.exists():
        shutil.rmtree(services.root)
    if services.link.is_symlink():
        services.link.unlink()


def _account() -> Account:
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid(), drop={})
    daemon = pwd.getpwnam("daemon")
    drop = {"user": daemon.pw_uid, "group": daemon.pw_gid, "extra_groups": []}
    return Account(uid=daemon.pw_uid, gid=daemon.pw_gid, drop=drop)


def reaches(account: Account, path: Path) -> bool:
    """True when the account may enter `path`, made or to be made (judged by its existing parents)."""
    existing = [p for p in (path, *path.parents) if p.exists()]
    return not account.drop or all(p.stat().st_mode & stat.S_IXOTH for p in existing)


def _place(link: Path, account: Account) -> Path:
    if reaches(account, link.parent):
        return link
    return SYSTEM_ROOT / hashlib.sha256(os.fsencode(link)).hexdigest()[:16]


def _point(link: Path, root: Path) -> None:
    """Let `link` lead to `root`; a root that its var folder has lost with the link is left-over data: deleted."""
    if link.is_symlink() and link.readlink() == root:
        return
    if link.is_dir() and not link.is_symlink():
        raise ServicesError(f"{link} can no longer be entered by the servers' account: open its parents, or delete it")
    if root.exists():
        shutil.rmtree(root)
    link.unlink(missing_ok=True)
    make_folder(SYSTEM_ROOT, 0o711)
    link.symlink_to(root)


def make_folder(folder: Path, mode: int, owner: Account | None = None) -> None:
    """Make one folder with exactly this mode, whatever the umask; one that exists stays as it is."""
    try:
        folder.mkdir(mode=mode, parents=True)
    except FileExistsError:
        return
    folder.chmod(mode)
    if owner:
        os.chown(folder, owner.uid, owner.gid)


def _lock(path: Path) -> IO[str]:
    """Held while this process lives, so that no second one starts servers in the same place."""
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        message = f"the servers in {path.parent} are in use: stop the program that uses them (a demo: make demo-down)"
        raise ServicesError(message) from None
    return handle


def _write_password(path: Path) -> None:
    if not path.exists():
        draft = path.with_name("password.new")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(32))
        draft.rename(path)


def _sockets(root: Path, account: Account) -> Path:
    """A private folder with a short path: last time's, so that URLs stay, or a new one."""
    link, prefix = root / "sockets", _sockets_prefix(root)
    if link.is_symlink():
        known = link.readlink()
        if known.name.startswith(prefix) and _is_private(known, account):
            return known
        link.unlink()
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))  # mkdtemp makes it private; TMPDIR may be long
    os.chown(folder, account.uid, account.gid)
    link.symlink_to(folder)
    return folder


def _sockets_prefix(root: Path) -> str:
    """Tells the folder of this root from one that a copied checkout's link still leads to."""
    return f"ubench-{hashlib.sha256(os.fsencode(root)).hexdigest()[:8]}-"


def _is_private(folder: Path, account: Account) -> bool:
    """True for a real folder of the account that no one else may enter: /tmp is everybody's."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and stat.S_IMODE(found.st_mode) == 0o700

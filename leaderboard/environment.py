"""Readers of environment variables. In: names; out: typed values; a bad value stops the start with one sentence."""

import os
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def text(name: str, default: str | None = None) -> str:
    """The variable's value; without a default it must be set."""
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"set the environment variable {name}")
    return value


def flag(name: str, default: bool) -> bool:
    """1/0, true/false, yes/no, on/off."""
    value = os.environ.get(name, str(default)).strip().lower()
    if value not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name} is {value!r}: use 1 or 0")
    return value in TRUE


def choice(name: str, default: str, allowed: Collection[str]) -> str:
    """One of a few words."""
    value = os.environ.get(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} is {value!r}: use {' or '.join(allowed)}")
    return value


def number(name: str, default: float, *, least: float) -> float:
    """A number not below `least`."""
    value = os.environ.get(name, str(default))
    try:
        found = float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}: use a number") from None
    if not least <= found < float("inf"):
        raise ImproperlyConfigured(f"{name} is {value}: use a finite number of at least {least:g}")
    return found


def integer(name: str, default: int, *, least: int) -> int:
    """A whole number not below `least`."""
    found = number(name, default, least=least)
    if found != int(found):
        raise ImproperlyConfigured(f"{name} is {found}: use a whole number")
    return int(found)


def words(name: str) -> list[str]:
    """A comma-separated list; empty when unset."""
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


def folder(name: str, default: Path) -> Path:
    """An absolute folder path; made by whoever first writes there."""
    return Path(os.environ.get(name) or default).absolute()


def secret_key(path: Path, *, may_generate: bool) -> str:
    """SECRET_KEY, or (development and demo only) one generated into `path` (0600) on first use."""
    if value := os.environ.get("SECRET_KEY"):
        if len(value) < 50:
            raise ImproperlyConfigured("SECRET_KEY is too short: use at least 50 random characters")
        return value
    if not may_generate:
        raise ImproperlyConfigured("set SECRET_KEY (only DEBUG=1 and DEMO=1 generate one)")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(60))
        try:
            path.hardlink_to(draft)  # of several first starts one wins, and no one reads half a key
        except FileExistsError:
            pass
        draft.unlink()
    return path.read_text().strip()


def database(name: str = "DATABASE_URL") -> dict[str, Any]:
    """Django's settings of postgresql://user:password@host:port/database, or …/database?host=/socket/folder."""
    url = urlsplit(text(name))
    if url.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(f"{name} must start with postgresql:// (only Postgres is supported)")
    options: Mapping[str, list[str]] = parse_qs(url.query)
    database_name = unquote(url.path.lstrip("/"))
    if not database_name:
        raise ImproperlyConfigured(f"{name} names no database")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": database_name,
        "USER": unquote(url.username or options.get("user", [""])[0]),
        "PASSWORD": unquote(url.password or ""),
        "HOST": unquote(url.hostname or "") or options.get("host", [""])[0],
        "PORT": str(url.port or options.get("port", [""])[0]),
    }


def redis_url(name: str = "REDIS_URL") -> str:
    """redis://, rediss:// or unix:///path?db=0."""
    value = text(name)
    if urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        raise ImproperlyConfigured(f"{name} must start with redis://, rediss:// or unix://")
    return value

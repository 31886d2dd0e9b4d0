"""Settings refuse bad values at the start, with one sentence."""

import os
import stat
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from leaderboard import environment


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://u:p%40ss@db:5433/ub", ("ub", "u", "p@ss", "db", "5433")),
        ("postgres:///ub?host=/run/pg&user=me", ("ub", "me", "", "/run/pg", "")),
        ("postgresql://u@/ub?host=/run/pg&port=5", ("ub", "u", "", "/run/pg", "5")),
    ],
)
def test_database_url(monkeypatch, url, found):
    monkeypatch.setenv("DATABASE_URL", url)
    database = environment.database()
    assert tuple(database[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")) == found


@pytest.mark.parametrize("url", ["sqlite:///x.db", "mysql://h/x", "postgresql://host", ""])
def test_other_databases_are_refused(monkeypatch, url):
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ImproperlyConfigured):
        environment.database()


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "much", ""])
def test_numbers_out_of_range_are_refused(monkeypatch, value):
    monkeypatch.setenv("LEASE_S", value)
    with pytest.raises(ImproperlyConfigured, match="LEASE_S"):
        environment.number("LEASE_S", 5, least=1)


def test_flags_are_words_not_truthiness(monkeypatch):
    monkeypatch.setenv("DEBUG", "maybe")
    with pytest.raises(ImproperlyConfigured, match="DEBUG"):
        environment.flag("DEBUG", default=False)


def test_secret_key_is_generated_once_and_private(monkeypatch, tmp_path):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    path = tmp_path / "var" / "secret_key"
    first = environment.secret_key(path, may_generate=True)
    assert len(first) >= 50
    assert environment.secret_key(path, may_generate=True) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["secret_key"]
    with pytest.raises(ImproperlyConfigured):
        environment.secret_key(path, may_generate=False)


def run_manage(*arguments, **variables):
    unset = ("DEMO", "DEBUG", "SECRET_KEY", "DJANGO_ALLOW_ASYNC_UNSAFE")  # the last is for browser tests
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    environ = kept | {"DJANGO_SETTINGS_MODULE": "leaderboard.settings"} | variables
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=settings.BASE_DIR, env=environ, capture_output=True, text=True)


def test_production_needs_its_own_secret_and_then_passes_the_deploy_check(tmp_path):
    refused = run_manage("check", DATA_ROOT=str(tmp_path))
    assert refused.returncode != 0
    assert "SECRET_KEY" in refused.stderr
    checked = run_manage(
        "check", "--deploy", "--fail-level", "WARNING",
        SECRET_KEY="3uFb9zLq0sVwXk2mYt7RpNc5HgJd8AeQ1iZoUx4TvWyBnMlKsDfG6hPa", ALLOWED_HOSTS="example.org",
        DATA_ROOT=str(tmp_path),
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr

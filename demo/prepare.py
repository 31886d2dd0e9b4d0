"""Bring the demo's database up to date and print, as JSON, its accounts and the releases that stand in it.

Runs as a process of its own, so that `demo/run.py` needs no Django.
"""

import json
import os
import secrets
import sys
from datetime import timedelta
from pathlib import Path

import django
from django.core.management import call_command

ACCOUNTS = {"admin": True, "author": False}  # name: belongs to the staff


def main(file: Path) -> None:
    """In: where the accounts' passwords and the author's token are kept (0600)."""
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    from leaderboard.models import Release

    known = json.loads(file.read_text()) if file.exists() else {}
    accounts = {name: _account(name, known.get(name), is_staff=is_staff) for name, is_staff in ACCOUNTS.items()}
    if not file.exists():
        file.touch(mode=0o600)
    file.write_text(json.dumps(accounts, indent=2) + "\n")
    json.dump({"accounts": accounts, "releases": list(Release.objects.values_list("slug", flat=True))}, sys.stdout)


def _account(name: str, known: dict[str, str] | None, *, is_staff: bool) -> dict[str, str]:
    """The account's password and API token; made anew when the database does not have it."""
    from allauth.account.models import EmailAddress

    from leaderboard import tokens
    from leaderboard.models import User

    user, is_new = User.objects.get_or_create(username=name, defaults={"email": f"{name}@example.org"})
    if known and not is_new:
        return known
    password = secrets.token_urlsafe(12)
    user.is_staff = user.is_superuser = is_staff
    user.set_password(password)
    user.save()
    EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
    return {"password": password, "token": tokens.create(user, "demo", timedelta(days=365))}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leaderboard.settings")
    main(Path(sys.argv[1]))

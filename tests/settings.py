"""Settings of the test suite. `tests.embedded` puts the servers' addresses and the data folder into the environment."""

import os

from tests import embedded  # noqa: F401

os.environ.setdefault("DEMO", "1")
os.environ.setdefault("LEASE_S", "5")
os.environ.setdefault("HEARTBEAT_S", "0.5")
os.environ.setdefault("RECONCILE_S", "1")
os.environ.setdefault("BACKOFF_S", "0.2")
os.environ.setdefault("SUBMISSIONS_PER_DAY", "200")

from leaderboard.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] = {"anon": "100000/min", "user": "100000/min"}  # noqa: F405

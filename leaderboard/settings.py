"""All settings, read once from the environment; nothing else in the server looks at it. Bad values stop the start."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from leaderboard import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent
DEBUG = env.flag("DEBUG", False)
DEMO = env.flag("DEMO", False)  # one machine, plain http, console mail; everything else as in production
PRODUCTION = not (DEBUG or DEMO)

# --- where things lie ------------------------------------------------------------------------------------------------
DATA_ROOT = env.folder("DATA_ROOT", BASE_DIR / "var")
RELEASE_ROOT = env.folder("RELEASE_ROOT", DATA_ROOT / "releases")
# "none" on a runner: it must not even know where the keys are.
KEY_ROOT: Path | None = None if env.text("KEY_ROOT", "") == "none" else env.folder("KEY_ROOT", DATA_ROOT / "keys")
MEDIA_ROOT = env.folder("MEDIA_ROOT", DATA_ROOT / "media")
UPLOAD_ROOT = env.folder("UPLOAD_ROOT", DATA_ROOT / "uploads")  # half-received files; best on MEDIA_ROOT's disk
UPLOAD_ROOT.mkdir(parents=True, exist_ok=True)  # Django checks that it exists
WORK_ROOT = env.folder("WORK_ROOT", DATA_ROOT / "work")  # scratch space of workers

# Decoded images, hidden ones among them, kept for the next model: see evaluator.pixels.cache.
PIXEL_CACHE_ROOT = env.folder("PIXEL_CACHE_ROOT", DATA_ROOT / "pixels")
PIXEL_CACHE_BYTES = env.integer("PIXEL_CACHE_BYTES", 16 * 2**30, least=0)

SECRET_KEY = env.secret_key(DATA_ROOT / "secret_key", may_generate=not PRODUCTION)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS") or ([] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
CSRF_FAILURE_VIEW = "leaderboard.pages.errors.csrf_failure"
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
SITE_NAME = env.text("SITE_NAME", "µ-Bench Leaderboard")

# --- database, Redis, blobs ------------------------------------------------------------------------------------------
DATABASES = {"default": env.database()}
# A process that freezes inside a transaction must not hold its locks for ever.
DATABASES["default"]["OPTIONS"] = {"options": "-c idle_in_transaction_session_timeout=120s"}
if pool_size := env.integer("DATABASE_POOL", 0, least=0):  # for gunicorn threads; workers hold one connection
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": pool_size, "timeout": 10}
else:
    DATABASES["default"].update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.redis_url()
_queue = {"URL": REDIS_URL, "DEFAULT_TIMEOUT": -1, "SERIALIZER": "rq.serializers.JSONSerializer"}
RQ_QUEUES = {name: dict(_queue) for name in ("validate", "evaluate", "score", "study")}
RQ = {"COMMIT_MODE": "auto", "DEFAULT_RESULT_TTL": 60}  # leaderboard.queue.dispatch waits for the commit itself
RQ_SHOW_ADMIN_LINK = True

BLOB_STORAGE = env.choice("BLOB_STORAGE", "local", ("local", "s3"))
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": MEDIA_ROOT}},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
if BLOB_STORAGE == "s3":
    STORAGES["default"] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": env.text("S3_BUCKET"),
            "endpoint_url": env.text("S3_ENDPOINT_URL", "") or None,
            "file_overwrite": True,
        },
    }
if DEBUG:
    STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}

# --- the queue (seconds unless the name says otherwise) --------------------------------------------------------------
LEASE_S = env.number("LEASE_S", 120, least=1)
HEARTBEAT_S = env.number("HEARTBEAT_S", LEASE_S / 6, least=0.1)
if HEARTBEAT_S * 3 > LEASE_S:
    raise ImproperlyConfigured("HEARTBEAT_S must be at most a third of LEASE_S")
RECONCILE_S = env.number("RECONCILE_S", 5, least=0.2)
BACKOFF_S = env.number("BACKOFF_S", 30, least=0)  # doubled with every attempt
MAX_ATTEMPTS = env.integer("MAX_ATTEMPTS", 3, least=1)
EVALUATION_TIMEOUT_S = env.number("EVALUATION_TIMEOUT_S", 6 * 3600, least=1)
STUDY_TIMEOUT_S = env.number("STUDY_TIMEOUT_S", 6 * 3600, least=1)
STUDY_THREADS = env.integer("STUDY_THREADS", 1, least=1)  # of the process that trains heads
# Studies stand back while their release has anything to evaluate, but not for ever.
STUDY_PATIENCE_S = env.number("STUDY_PATIENCE_S", 3600, least=0)
SUGGESTIONS_PER_DAY = env.integer("SUGGESTIONS_PER_DAY", 50, least=1)  # rounds of "which images to label next", a user
SUGGESTION_TIMEOUT_S = env.number("SUGGESTION_TIMEOUT_S", 300, least=1)
ALLOW_WEAK_SANDBOX = env.flag("ALLOW_WEAK_SANDBOX", False)
EVALUATION_DEVICE = env.choice("EVALUATION_DEVICE", "auto", ("auto", "cpu", "cuda"))
# bf16 is faster on a GPU and not the official precision: entries made so are marked, with their agreement.
EVALUATION_PRECISION = env.choice("EVALUATION_PRECISION", "fp32", ("fp32", "bf16"))
SICK_DEVICE_RETRY_S = env.number("SICK_DEVICE_RETRY_S", 60, least=1)

# --- limits ----------------------------------------------------------------------------------------------------------
MAX_UPLOAD_BYTES = env.integer("MAX_UPLOAD_BYTES", 8 * 2**30, least=1)
SUBMISSIONS_PER_DAY = env.integer("SUBMISSIONS_PER_DAY", 10, least=1)
ACTIVE_EVALUATIONS_PER_USER = env.integer("ACTIVE_EVALUATIONS_PER_USER", 2, least=1)
STALE_UPLOAD_S = env.number("STALE_UPLOAD_S", 24 * 3600, least=60)
FILE_UPLOAD_HANDLERS = ["leaderboard.uploads.BoundedTemporaryFileUploadHandler"]
FILE_UPLOAD_TEMP_DIR = UPLOAD_ROOT
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20
DATA_UPLOAD_MAX_NUMBER_FILES = 200

# --- Django ----------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "leaderboard",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "csp",
    "django_prometheus",
    "django_rq",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "leaderboard.pages.errors.AnswerProblems",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "leaderboard.urls"
WSGI_APPLICATION = "leaderboard.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "leaderboard.pages.context.frame",
            ]
        },
    }
]
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = env.folder("STATIC_ROOT", BASE_DIR / "staticfiles")
# In Postgres, so that limits hold across processes and sign-in works while Redis is down.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}}

# --- accounts and API ------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "leaderboard.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if PRODUCTION else "optional"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if PRODUCTION else "http"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.integer("EMAIL_PORT", 25, least=1)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", False)
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if PRODUCTION else 'console'}.EmailBackend"
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "leaderboard@localhost")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
    "PAGE_SIZE": 100,
    "EXCEPTION_HANDLER": "leaderboard.api.errors.answer_error",
    "DEFAULT_THROTTLE_CLASSES": [
        "rest_framework.throttling.AnonRateThrottle",
        "rest_framework.throttling.UserRateThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": {
        "anon": env.text("API_RATE_ANONYMOUS", "240/min"),
        "user": env.text("API_RATE_USER", "1200/min"),
    },
    "NUM_PROXIES": 1 if env.flag("TRUST_PROXY", False) else 0,
}
KNOX_TOKEN_MODEL = "knox.AuthToken"  # named, because a table of ours refers to it
REST_KNOX = {"TOKEN_TTL": timedelta(days=365), "AUTO_REFRESH": False}
SPECTACULAR_SETTINGS = {
    "TITLE": "µ-Bench Leaderboard",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {"SubmissionKindEnum": "leaderboard.models.submissions.SubmissionKind"},
}

# --- hardening -------------------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
METRICS_TOKEN = env.text("METRICS_TOKEN", "")  # bearer token of /metrics; empty = not served
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
if env.flag("TRUST_PROXY", False):  # only behind a proxy that overwrites this header
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
}

"""Settings of the site: one file, everything from the environment, defaults that just work.

Each variable is read once, beside its default. README.md has them in a table.
"""

import socket
import sqlite3
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

from . import env

BASE_DIR = Path(__file__).resolve().parent.parent


# Data: the SQLite database and the secret, in one folder.

DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).absolute()
env.refuse_vanishing(DATA_DIR)

# Signs cookies, and makes the voter keys of new polls.
SECRET_KEPT = DATA_DIR / "secret_key"
SECRET_KEY = env.secret("SECRET_KEY") or env.kept_secret(SECRET_KEPT)
# Others whose cookies and voter keys hold: older ones, and one that is to be the next.
OLDER_KEPT = DATA_DIR / "secret_key_fallbacks"
NEXT_KEPT = DATA_DIR / "secret_key_next"
SECRET_KEY_FALLBACKS = env.secret("SECRET_KEY_FALLBACKS").split()
SECRET_KEY_FALLBACKS += env.kept_secrets(OLDER_KEPT) + env.kept_secrets(NEXT_KEPT)
if len(SECRET_KEY) < 32:
    env.refuse("SECRET_KEY is too short. Use at least 32 random characters.")
if any(len(_secret) < 32 for _secret in SECRET_KEY_FALLBACKS):
    env.refuse(
        "SECRET_KEY_FALLBACKS has a secret that is shorter than 32 characters. Put spaces between secrets, and none into one."
    )

DEBUG = env.switch("DEBUG")

# Made where nobody looks at a terminal: once, on a site that has no superuser.
FIRST_ORGANISER = env.text("DJANGO_SUPERUSER_USERNAME")
FIRST_ORGANISER_PASSWORD = env.secret("DJANGO_SUPERUSER_PASSWORD")


# The address: SITE_URL is the one switch to production.

SITE_URL = env.text("SITE_URL").rstrip("/").lower()
for _scheme, _port in (("http:", ":80"), ("https:", ":443")):
    if SITE_URL.startswith(_scheme):
        # Browsers leave it out of the origin.
        SITE_URL = SITE_URL.removesuffix(_port)


_site_host = env.host(SITE_URL)
if SITE_URL and not _site_host:
    env.refuse(
        f"SITE_URL is {env.text('SITE_URL')!r}. "
        "Use the address that voters type, such as https://polls.example.org, without a path."
    )
_https = SITE_URL.startswith("https:")

# The loopback names stay, so that the operator can ask for /healthz on the machine itself.
ALLOWED_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
if SITE_URL:
    ALLOWED_HOSTS.append(_site_host)
else:
    # What gunicorn prints as its address, and how a machine at home is called.
    ALLOWED_HOSTS += ["0.0.0.0", socket.gethostname(), f"{socket.gethostname()}.local"]
ALLOWED_HOSTS += env.hosts("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = [SITE_URL] if SITE_URL else []
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = VOTER_COOKIE_SECURE = _https
# Browsers keep no cookie longer than 400 days.
VOTER_COOKIE_AGE = 400 * 24 * 3600
SECURE_SSL_REDIRECT = _https
# A load balancer asks for it over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if _https else 0
# The site speaks for its own host only: what other subdomains do is not ours to promise.
# The tags of i18n are ours instead of Django's.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021", "templates.W003"]
X_FRAME_OPTIONS = "DENY"
# Over plain http browsers leave it out, and say so in their console on each page.
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin" if _https else None

# Whose X-Forwarded-For is believed, beside this machine's. gunicorn and uvicorn read the variable too.
TRUST_ANY_PROXY = env.text("FORWARDED_ALLOW_IPS") == "*"
TRUSTED_PROXIES = []
for _proxy in [] if TRUST_ANY_PROXY else env.text("FORWARDED_ALLOW_IPS").split(","):
    try:
        TRUSTED_PROXIES += [ip_network(_proxy.strip())] if _proxy.strip() else []
    except ValueError:
        env.refuse(
            f"FORWARDED_ALLOW_IPS has {_proxy.strip()!r}. "
            "Use the addresses of your proxies or their networks, such as 10.0.0.0/8, separated by commas; or * alone."
        )

# No inline script or style anywhere, the admin included.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


# What the site looks like.

SITE_NAME = env.text("SITE_NAME", "Polls")
if len(SITE_NAME) > 60:
    env.refuse(f"SITE_NAME is {SITE_NAME!r}. Use up to 60 characters.")
# A file, which is read once.
SITE_LOGO = env.picture("SITE_LOGO")
# Made darker or lighter where text in it, or on it, could not be read.
ACCENT_COLOUR = env.colour("ACCENT_COLOUR")
IMPRINT_URL = env.link("IMPRINT_URL")


# The database.

_SQLITE = {
    # Seconds to wait for the one writer at a time that SQLite has. A vote that becomes a change waits three times
    # at worst (in line, to write, to change), which is less than gunicorn's timeout of 30 s.
    "timeout": 9,
    # A transaction that reads first and writes later would fail at once if another has written meanwhile.
    "transaction_mode": "IMMEDIATE",
    # WAL: readers and the writer do not stop each other. FULL: a vote that was accepted survives a power cut.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}


_database = env.database("DATABASE_URL") or {"NAME": str(DATA_DIR / "polls.sqlite3")}
# A connection is kept by its thread: opening one for each request costs half the page.
_database |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
if "ENGINE" not in _database:
    _database["ENGINE"] = "polls.sqlite"
    if sqlite3.sqlite_version_info < (3, 35):
        env.refuse(
            f"Python here has SQLite {sqlite3.sqlite_version}, and votes are written with what 3.35 brought. "
            "Use a later Python image or system, or PostgreSQL in DATABASE_URL."
        )
    _database["OPTIONS"] = _SQLITE | _database.get("OPTIONS", {})
    _folder = Path(_database["NAME"]).parent
    env.make_folder("DATA_DIR" if _folder == DATA_DIR else "DATABASE_URL", _folder)
else:
    # Whoever serves people does not wait for ever; manage.py takes this from its commands, which may have a million
    # ballots to go through.
    _database["IS_LIMITED"] = True
    # Whether a pooler gives the connection to somebody else after each transaction.
    _database["IS_SHARED"] = (
        env.choice("DATABASE_POOLER", ["session", "transaction"]) == "transaction"
    )
    _database["OPTIONS"] = {
        # The statement that writes ballots is prepared; Django would switch that off. What is prepared on one
        # connection is unknown on the next.
        "prepare_threshold": None if _database["IS_SHARED"] else 5,
        # Seconds for each host: one that is off does not refuse, it says nothing.
        "connect_timeout": 4,
        # A standby cannot take votes; the next host may, or the same in a moment.
        "target_session_attrs": "read-write",
    } | _database["OPTIONS"]
DATABASES = {"default": _database}

# Seconds that PostgreSQL gives a wait for a lock, a statement, and a transaction in which nothing happens: its worker
# has stopped, and what it has locked keeps all others from voting.
DATABASE_LOCK_TIMEOUT = env.count("DATABASE_LOCK_TIMEOUT", 9)
DATABASE_STATEMENT_TIMEOUT = env.count("DATABASE_STATEMENT_TIMEOUT", 10)
DATABASE_IDLE_TIMEOUT = env.count("DATABASE_IDLE_TIMEOUT", 5)
# Two waits for a lock and a statement that was given up are less than gunicorn's timeout of 30 s and nginx's of 60 s: the
# visitor gets our page, and not theirs.
if DATABASE_LOCK_TIMEOUT >= DATABASE_STATEMENT_TIMEOUT:
    env.refuse(
        f"DATABASE_LOCK_TIMEOUT is {DATABASE_LOCK_TIMEOUT}. "
        f"Use less than DATABASE_STATEMENT_TIMEOUT, which is {DATABASE_STATEMENT_TIMEOUT}."
    )
if DATABASE_STATEMENT_TIMEOUT + 2 * DATABASE_LOCK_TIMEOUT >= 30:
    env.refuse(
        f"DATABASE_STATEMENT_TIMEOUT is {DATABASE_STATEMENT_TIMEOUT}. With twice DATABASE_LOCK_TIMEOUT, which is "
        f"{DATABASE_LOCK_TIMEOUT}, it is 30 or more, and gunicorn would end the worker. Use less."
    )
# Seconds that a start waits for a database that is not there yet.
DATABASE_WAIT = env.count("DATABASE_WAIT", 30)

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Threads that answer requests in each ASGI worker; each keeps one database connection.
ASGI_THREADS = env.count("ASGI_THREADS", 8)


# How long after the close of a poll something is kept, in days: manage.py purge goes by it, and the ballot page
# tells the voters. Without a value it is kept.

FORGET_VOTERS_DAYS = env.count("FORGET_VOTERS_DAYS", None)
DELETE_BALLOTS_DAYS = env.count("DELETE_BALLOTS_DAYS", None)
DELETE_POLLS_DAYS = env.count("DELETE_POLLS_DAYS", None)


# Django's own.

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    # After the accounts, from which it takes something back; before the admin, some of whose templates it has of its own.
    "polls.apps.PollsConfig",
    "django.contrib.admin",
]
MIDDLEWARE = [
    "polls.serving.request_id.name_request",
    "polls.serving.spectator_cache.remember",
    "polls.serving.own_pages.remember",
    "polls.serving.languages.in_language_of_visitor",
    "polls.serving.middleware.utf8_only",
    "polls.serving.middleware.health_by_any_name",
    "polls.serving.middleware.explain_redirect_loop",
    "django.middleware.security.SecurityMiddleware",
    "polls.serving.static_files.static_files",
    "polls.serving.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # Last, so that what it refuses has the headers of every other answer; views and CSRF read the body after it.
    "polls.serving.middleware.whole_body",
]
ROOT_URLCONF = "polls.urls"
WSGI_APPLICATION = "polls.wsgi.application"
CSRF_FAILURE_VIEW = "polls.serving.errors.csrf_failure"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "libraries": {"i18n": "polls.templatetags.translate"},
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# The links of new accounts are printed and handed out.
PASSWORD_RESET_TIMEOUT = 14 * 24 * 3600
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "polls:index"
# The site takes votes and short texts, never files.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_HANDLERS = ["polls.serving.middleware.RefuseFiles"]

# Under their own names, in the order of the list at the foot of each page. Catalogs: polls/locale, formats: polls/formats.
LANGUAGES = [
    ("en", "English"),
    ("de", "Deutsch"),
    ("fr", "Français"),
    ("es", "Español"),
    ("pt", "Português"),
    ("ar", "العربية"),
    ("zh-hans", "简体中文"),
    ("hi", "हिन्दी"),
]
# Of those whose browser asks for none of them.
LANGUAGE_CODE = env.choice("LANGUAGE_CODE", [code for code, _ in LANGUAGES])
LANGUAGE_COOKIE_NAME = "language"
FORMAT_MODULE_PATH = "polls.formats"
USE_THOUSAND_SEPARATOR = True
TIME_ZONE = env.text("TIME_ZONE", "UTC")
try:
    ZoneInfo(TIME_ZONE)
except (ValueError, OSError, LookupError):
    env.refuse(f"TIME_ZONE is {TIME_ZONE!r}. Use a name such as Europe/Paris or UTC.")

STATIC_URL = "/static/"
# Served from memory, under addresses that change with the files: no collectstatic to forget. Some platforms
# run it unasked, and refuse a site where it fails.
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "polls.serving.static_files.DigestStorage"},
}


# What is logged, to the terminal or the journal: a line an event.

# gunicorn.conf.py reads it too.
LOG_FORMAT = env.choice("LOG_FORMAT", ["text", "json"])
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "logging.Formatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s%(about)s: %(message)s",
            # Of records that were made before the site was there.
            "defaults": {"about": ""},
        }
    },
    "filters": {
        "no_traceback": {"()": "polls.serving.logs.NoTraceback"},
        "why_unavailable": {"()": "polls.serving.logs.WhyUnavailable"},
        "repeated_lines": {"()": "polls.serving.logs.RepeatedLines"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["why_unavailable", "repeated_lines"],
        }
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        # Django would mail its errors, and to nobody; the operator reads the terminal or the journal.
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        # Every address that a robot tries is not news; what broke is.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"filters": ["no_traceback"]},
        "django.security.RequestDataTooBig": {"filters": ["no_traceback"]},
        "django.security.TooManyFieldsSent": {"filters": ["no_traceback"]},
    },
}


# Whoever sends it is told the numbers at /metrics; without one nothing is counted.
METRICS_TOKEN = env.secret("METRICS_TOKEN")
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    env.refuse("METRICS_TOKEN is too short. Use at least 16 random characters.")
if METRICS_TOKEN:
    # Also where the database and the secret are elsewhere.
    env.make_folder("DATA_DIR", DATA_DIR)

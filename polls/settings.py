"""Settings of the site: one file, everything from the environment, defaults that just work.

Each variable is read once, beside its default. README.md has them in a table.
"""

import logging
import os
import re
import secrets
import socket
import sqlite3
import sys
import tempfile
from ipaddress import ip_network
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent.parent


def refuse(sentence: str) -> NoReturn:
    """Stop the start with one clear sentence."""
    print(sentence, file=sys.stderr, flush=True)
    # gunicorn starts a worker that exits with 1 again, for ever; 3 is its own
    # "failed to boot", which stops it.
    sys.exit(3 if "gunicorn.arbiter" in sys.modules else 1)


def _env(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def _secret_env(name: str) -> str:
    """Read a variable, or the file that NAME_FILE names."""
    path = _env(f"{name}_FILE")
    if not path:
        return _env(name)
    try:
        value = Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        refuse(
            f"{name}_FILE is {path!r}, which cannot be read ({error}). "
            "Name a text file that this user can read."
        )
    # A secret that failed to be mounted must not mean another database or new voter keys.
    return value or refuse(f"{name}_FILE is {path!r}, which is empty.")


def _switch(name: str) -> bool:
    value = _env(name, "0").lower()
    if value not in {"0", "1", "true", "false", "yes", "no", "on", "off"}:
        refuse(f"{name} is {value!r}. Use 1 or 0.")
    return value in {"1", "true", "yes", "on"}


def _count(name: str, default: int | None) -> int | None:
    value = _env(name)
    if not value:
        return default
    if not value.isdecimal() or not 1 <= len(value) <= 4 or int(value) == 0:
        refuse(f"{name} is {value!r}. Use a whole number from 1 to 9999.")
    return int(value)


# Data: the SQLite database and the secret, in one folder.

DATA_DIR = Path(_env("DATA_DIR", str(BASE_DIR / "var"))).absolute()


def _kept_secret(path: Path) -> str:
    """Return the secret in this file; make the file, readable by its owner alone, if there is none."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(50))
            # Several workers may start at once: the first link wins, all read it.
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                os.unlink(draft)
        return path.read_text().strip()
    except OSError as error:
        refuse(
            f"The data folder {str(path.parent)!r} cannot be used ({error.strerror}). "
            "Make it writable, or name another one in DATA_DIR."
        )


# Voter keys are made with this secret: changing it lets people vote again on open polls.
SECRET_KEY = _secret_env("SECRET_KEY") or _kept_secret(DATA_DIR / "secret_key")
if len(SECRET_KEY) < 32:
    refuse("SECRET_KEY is too short. Use at least 32 random characters.")

DEBUG = _switch("DEBUG")


# The address: SITE_URL is the one switch to production.

SITE_URL = _env("SITE_URL").rstrip("/").lower()
for _scheme, _port in (("http:", ":80"), ("https:", ":443")):
    if SITE_URL.startswith(_scheme):
        # Browsers leave it out of the origin.
        SITE_URL = SITE_URL.removesuffix(_port)


def _host(url: str) -> str:
    """Return the host of http(s)://host[:port], as Django wants it in ALLOWED_HOSTS; empty if it is not that."""
    try:
        parts = urlsplit(url)
        host, sound = parts.hostname or "", parts.port != 0
    except ValueError:
        return ""
    sound = sound and parts.scheme in {"http", "https"} and "@" not in parts.netloc
    if not sound or url != f"{parts.scheme}://{parts.netloc}":
        return ""
    if ":" in host:
        return f"[{host}]"
    return host if re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", host) else ""


_site_host = _host(SITE_URL)
if SITE_URL and not _site_host:
    refuse(
        f"SITE_URL is {_env('SITE_URL')!r}. "
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
for _name in _env("ALLOWED_HOSTS").split(","):
    if _name.strip() and _host(f"http://{_name.strip()}") != _name.strip():
        refuse(
            f"ALLOWED_HOSTS has {_name.strip()!r}. "
            "Use host names without scheme and port, such as www.example.org, separated by commas."
        )
    ALLOWED_HOSTS += [_name.strip()] if _name.strip() else []
CSRF_TRUSTED_ORIGINS = [SITE_URL] if SITE_URL else []
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = VOTER_COOKIE_SECURE = _https
SECURE_SSL_REDIRECT = _https
# A load balancer asks for it over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if _https else 0
# The site speaks for its own host only: what other subdomains do is not ours to promise.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
X_FRAME_OPTIONS = "DENY"

# Whose X-Forwarded-For is believed, beside this machine's. gunicorn and uvicorn read the variable too.
TRUST_ANY_PROXY = _env("FORWARDED_ALLOW_IPS") == "*"
TRUSTED_PROXIES = []
for _proxy in [] if TRUST_ANY_PROXY else _env("FORWARDED_ALLOW_IPS").split(","):
    try:
        TRUSTED_PROXIES += [ip_network(_proxy.strip())] if _proxy.strip() else []
    except ValueError:
        refuse(
            f"FORWARDED_ALLOW_IPS has {_proxy.strip()!r}. "
            "Use the addresses of your proxies or their networks, such as 10.0.0.0/8, separated by commas; or * alone."
        )

# No inline script or style anywhere, the admin included.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


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


def _server_or_file(url: str) -> dict[str, object]:
    """Return Django's settings for a database address: sqlite:///... or postgres://..."""
    allowed = (
        "Use postgres://user:password@host:5432/name or sqlite:////folder/file.sqlite3."
    )
    # The rest of it may hold a password, which is not for the log.
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in {"sqlite", "postgres", "postgresql"}:
        refuse(f"DATABASE_URL begins with {scheme!r} as its scheme. {allowed}")
    try:
        config = dj_database_url.parse(url)
    except ValueError as error:
        refuse(f"DATABASE_URL cannot be read ({error}). {allowed}")
    if config["NAME"] in {"", ":memory:"}:
        # In memory, every worker would have another one.
        refuse(f"DATABASE_URL names no database that is kept. {allowed}")
    unknown = set(config.get("OPTIONS", {})) - {"timeout"}
    if scheme == "sqlite" and unknown:
        refuse(f"DATABASE_URL has the option {unknown.pop()!r}. {allowed}")
    return config


_url = _secret_env("DATABASE_URL")
_database = _server_or_file(_url) if _url else {"NAME": str(DATA_DIR / "polls.sqlite3")}
# A connection is kept by its thread: opening one for each request costs half the page.
_database |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
if "postgresql" not in _database.get("ENGINE", ""):
    _database["ENGINE"] = "polls.sqlite"
    if sqlite3.sqlite_version_info < (3, 35):
        refuse(
            f"Python here has SQLite {sqlite3.sqlite_version}, and votes are written with what 3.35 brought. "
            "Use a later Python image or system, or PostgreSQL in DATABASE_URL."
        )
    _database["OPTIONS"] = _SQLITE | _database.get("OPTIONS", {})
    _folder = Path(_database["NAME"]).parent
    try:
        _folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=_folder).close()
    except OSError as error:
        refuse(
            f"The data folder {str(_folder)!r} cannot be used ({error.strerror}). "
            "Make it writable, or name another one in DATA_DIR."
        )
else:
    _database["ENGINE"] = "polls.postgresql"
    # Whoever serves people does not wait for ever; manage.py takes this from its commands, which may have a million
    # ballots to go through.
    _database["IS_LIMITED"] = True
    # The statement that writes ballots is prepared; Django would switch that off.
    _database["OPTIONS"] = {
        "prepare_threshold": 5,
        "connect_timeout": 4,
    } | _database.get("OPTIONS", {})
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Threads that answer requests in each ASGI worker; each keeps one database connection.
ASGI_THREADS = _count("ASGI_THREADS", 8)


# How long after the close of a poll something is kept, in days: manage.py purge goes by it, and the ballot page
# tells the voters. Without a value it is kept.

FORGET_VOTERS_DAYS = _count("FORGET_VOTERS_DAYS", None)
DELETE_BALLOTS_DAYS = _count("DELETE_BALLOTS_DAYS", None)
DELETE_POLLS_DAYS = _count("DELETE_POLLS_DAYS", None)


# Django's own.

INSTALLED_APPS = [
    "polls.apps.PollsConfig",
    "django.contrib.admin",
    "polls.apps.AccountsConfig",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "polls.serving.spectator_cache.remember",
    "polls.serving.middleware.utf8_only",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
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
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
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
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "polls:index"
# The site takes votes and short texts, never files.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_HANDLERS = ["polls.views.forms.RefuseFiles"]

LANGUAGE_CODE = "en-us"
TIME_ZONE = _env("TIME_ZONE", "UTC")
try:
    ZoneInfo(TIME_ZONE)
except (ValueError, OSError, LookupError):
    refuse(f"TIME_ZONE is {TIME_ZONE!r}. Use a name such as Europe/Paris or UTC.")

STATIC_URL = "/static/"
# Files are served from where they lie: no collectstatic to forget.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 0 if DEBUG else 600


def _one_line(record: logging.LogRecord) -> bool:
    """Leave the traceback of what a stranger sent out of the log."""
    record.exc_info = record.exc_text = None
    return True


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    },
    "filters": {
        "one_line": {"()": lambda: _one_line},
        "throttle": {"()": "polls.serving.log_throttle.OneLine"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        # Django would mail its errors, and to nobody; the operator reads the terminal or the journal.
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        # Every address that a robot tries is not news; what broke is.
        "django.request": {"level": "ERROR", "filters": ["throttle"]},
        "django.security.DisallowedHost": {"filters": ["one_line"]},
        "django.security.RequestDataTooBig": {"filters": ["one_line"]},
        "django.security.TooManyFieldsSent": {"filters": ["one_line"]},
    },
}

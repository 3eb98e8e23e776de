"""Reads variables of the environment, and stops the start with one sentence where a value cannot be right."""

import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

Default = TypeVar("Default", int, None)


def is_under_gunicorn() -> bool:
    return "gunicorn.arbiter" in sys.modules


def refuse(sentence: str) -> NoReturn:
    """Stop the start with one clear sentence."""
    print(sentence, file=sys.stderr, flush=True)
    # gunicorn starts a worker that exits with 1 again, for ever; 3 is its own
    # "failed to boot", which stops it.
    sys.exit(3 if is_under_gunicorn() else 1)


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def secret(name: str) -> str:
    """Read a variable, or the file that NAME_FILE names."""
    path = text(f"{name}_FILE")
    if not path:
        return text(name)
    # What is no path may be the secret itself, and is not for the log.
    named = f"is {path!r}" if path.startswith("/") else "names a file"
    try:
        value = Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        refuse(
            f"{name}_FILE {named}, which cannot be read ({why}). Name a text file that this user can read."
        )
    # A secret that failed to be mounted must not mean another database or new voter keys.
    return value or refuse(f"{name}_FILE {named}, which is empty.")


def switch(name: str) -> bool:
    value = text(name, "0").lower()
    if value not in {"0", "1", "true", "false", "yes", "no", "on", "off"}:
        refuse(f"{name} is {value!r}. Use 1 or 0.")
    return value in {"1", "true", "yes", "on"}


def count(name: str, default: Default) -> int | Default:
    value = text(name)
    if not value:
        return default
    if not value.isdecimal() or not 1 <= len(value) <= 4 or int(value) == 0:
        refuse(f"{name} is {value!r}. Use a whole number from 1 to 9999.")
    return int(value)


def choice(name: str, allowed: list[str]) -> str:
    """Return one of the allowed values: the first of them without a variable."""
    value = text(name, allowed[0]).lower()
    if value not in allowed:
        refuse(f"{name} is {value!r}. Use one of {', '.join(allowed)}.")
    return value


def colour(name: str) -> str:
    value = text(name).lower()
    if value and not re.fullmatch("#[0-9a-f]{6}", value):
        refuse(f"{name} is {value!r}. Use six hexadecimal digits, such as #2f3fcf.")
    return value


def link(name: str) -> str:
    """Read an address that a page links to: of another site, of this one, or of a mailbox."""
    value = text(name)
    if value and not re.fullmatch(r"(https?://|mailto:|/)[^\s<>\"]+", value):
        refuse(
            f"{name} is {value!r}. Use an address such as https://example.org/imprint, /imprint or mailto:a@example.org."
        )
    return value


# Small enough for the head of every page.
PICTURE_SIZE = 100 * 1024
PICTURES = (".svg", ".png", ".webp", ".jpg", ".jpeg")


def picture(name: str) -> Path | None:
    """Read the path of a small picture file."""
    value = text(name)
    if not value:
        return None
    path = Path(value).absolute()
    if path.suffix.lower() not in PICTURES:
        refuse(f"{name} is {value!r}. Use a file that ends in {', '.join(PICTURES)}.")
    try:
        size = len(path.read_bytes())
    except OSError as error:
        refuse(
            f"{name} is {value!r}, which cannot be read ({error.strerror}). "
            "Name a picture file that this user can read."
        )
    if not 0 < size <= PICTURE_SIZE:
        refuse(f"{name} is {value!r}, of {size} bytes. Use a picture of up to 100 kB.")
    return path


def host(url: str) -> str:
    """Return the host of http(s)://host[:port], as Django wants it in ALLOWED_HOSTS; empty if it is not that."""
    try:
        parts = urlsplit(url)
        name, valid = parts.hostname or "", parts.port != 0
    except ValueError:
        return ""
    valid = valid and parts.scheme in {"http", "https"} and "@" not in parts.netloc
    if not valid or url != f"{parts.scheme}://{parts.netloc}":
        return ""
    if ":" in name:
        return f"[{name}]"
    return name if re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name) else ""


def hosts(name: str) -> list[str]:
    given = [part.strip() for part in text(name).split(",") if part.strip()]
    for part in given:
        if host(f"http://{part}") != part:
            refuse(
                f"{name} has {part!r}. "
                "Use host names without scheme and port, such as www.example.org, separated by commas."
            )
    return given


def refuse_folder(name: str, folder: Path, error: OSError) -> NoReturn:
    said = f"{name} names the folder" if secret(name) else "The data folder is"
    refuse(
        f"{said} {str(folder)!r}, which cannot be used ({error.strerror}). "
        f"Make it writable, or name another one in {name}."
    )


def make_folder(name: str, folder: Path) -> None:
    """Make the folder of this variable, for its owner alone, unless it is there; refuse one that takes no files."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        refuse_folder(name, folder, error)


# Set by platforms that start programs on an empty disk: Heroku, Cloud Run, Render, Fly, Azure.
VANISHING = ("DYNO", "K_SERVICE", "RENDER", "FLY_APP_NAME", "WEBSITE_SITE_NAME")


def refuse_vanishing(folder: Path) -> None:
    """Refuse to keep votes, or the secret, on a disk that is emptied at each start."""
    platform = next(filter(text, VANISHING), None)
    if not platform or _is_mounted(folder):
        return
    disk = f"{platform} is set: on this platform the disk is emptied at each start,"
    volume = "or name a folder on a mounted volume in DATA_DIR."
    if not secret("DATABASE_URL"):
        refuse(
            f"{disk} and all votes with it. Set DATABASE_URL to a PostgreSQL database, {volume}"
        )
    if not secret("SECRET_KEY"):
        refuse(
            f"{disk} and the secret that tells voters apart with it. Set SECRET_KEY to 50 random characters, {volume}"
        )


def _is_mounted(folder: Path) -> bool:
    """Tell whether this folder was named, and is on another disk than the system."""
    try:
        there = next(path for path in [folder, *folder.parents] if path.exists())
        return bool(text("DATA_DIR")) and there.stat().st_dev != os.stat("/").st_dev
    except OSError:
        return False


def kept_secret(path: Path) -> str:
    """Return the secret in this file; make the file, readable by its owner alone, if there is none."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_secret(path)
    except OSError as error:
        refuse_folder("DATA_DIR", path.parent, error)
    return _read_kept(path).strip()


def kept_secrets(path: Path) -> list[str]:
    """Return the secrets in this file, a line each; none if there is no file."""
    lines = _read_kept(path).splitlines() if path.exists() else []
    return [line.strip() for line in lines if line.strip()]


def _read_kept(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        # Made by a command that somebody else ran, say.
        refuse(
            f"{str(path)!r} cannot be read ({error.strerror}). Give the file to the user who runs the site."
        )


@contextmanager
def draft(path: Path, text: str) -> Iterator[str]:
    """Write the text beside this path, for the owner alone, and yield where; what the body does not move is deleted."""
    descriptor, written = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield written
    finally:
        Path(written).unlink(missing_ok=True)


def make_secret(path: Path) -> None:
    with draft(path, secrets.token_urlsafe(50)) as written:
        # Several workers may start at once: the first link wins, all read it.
        with suppress(FileExistsError):
            os.link(written, path)


# What Django calls what libpq has in its connection strings; all else is an option to both.
LIBPQ_NAMES = {
    "NAME": "dbname",
    "USER": "user",
    "PASSWORD": "password",
    "HOST": "host",
    "PORT": "port",
}
DATABASE_URLS = (
    "Use postgres://user:password@host:5432/name or sqlite:////folder/file.sqlite3."
)


def database(name: str) -> dict[str, Any]:
    """Read sqlite:///... or postgres://... as Django's settings of a database; empty if there is none."""
    url = secret(name)
    # The rest of it may hold a password, which is not for the log.
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme == "sqlite":
        return _sqlite(name, url)
    if scheme in {"postgres", "postgresql"}:
        return _postgresql(name, url)
    if url:
        refuse(f"{name} begins with {scheme!r} as its scheme. {DATABASE_URLS}")
    return {}


def _sqlite(name: str, url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
    except ValueError:
        refuse(f"{name} cannot be read. {DATABASE_URLS}")
    path, options = unquote(parts.path[1:]), dict(parse_qsl(parts.query))
    if not path or parts.netloc:
        # In memory, every worker would have another one.
        refuse(f"{name} names no database that is kept. {DATABASE_URLS}")
    for option, value in options.items():
        if option != "timeout":
            refuse(f"{name} has the option {option!r}. {DATABASE_URLS}")
        if not value.isdecimal():
            refuse(f"{name} has the timeout {value!r}. Use seconds: ?timeout=9.")
    return {
        "NAME": path,
        "OPTIONS": {key: int(value) for key, value in options.items()},
    }


def _is_port(text: str) -> bool:
    return text.isdecimal() and 0 < int(text) < 65536


def _conninfo(name: str, url: str) -> dict[str, Any]:
    """Read what libpq reads, by libpq: several hosts, and all of its options."""
    # Sites on SQLite do without it.
    import psycopg.conninfo

    try:
        return psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        # Other sentences of libpq quote what may be the password.
        option = re.search('query parameter: ("[^@]*")', str(error))
        if option:
            refuse(
                f"{name} has the option {option[1]}, which PostgreSQL does not know."
            )
        refuse(
            f"{name} cannot be read. In a password, write %25 for a % and %2F for a /. {DATABASE_URLS}"
        )


def _postgresql(name: str, url: str) -> dict[str, Any]:
    given = _conninfo(name, url)
    hosts, ports = given.get("host", ""), given.get("port", "")
    # To libpq all before the first / is user, password, hosts and ports.
    _, _, path = url.partition("://")[2].partition("?")[0].partition("/")
    if "@" in hosts or "@" in path:
        refuse(
            f"{name} has an @ too many, or a / before it. In a password, write %40 for an @ and %2F for a /."
        )
    if not all(port == "" or _is_port(port) for port in ports.split(",")):
        # It is not quoted: where a / is in the password, it is the password.
        refuse(f"{name} has a port that is no number up to 65535. {DATABASE_URLS}")
    if not given.get("dbname"):
        refuse(f"{name} names no database. {DATABASE_URLS}")
    config = {key: given.pop(option, "") for key, option in LIBPQ_NAMES.items()}
    return {"ENGINE": "polls.postgresql", **config, "OPTIONS": given}

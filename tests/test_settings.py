"""What the environment sets, and what happens when it is wrong."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import pytest

from tests.support.servers import ROOT, free_port

pytestmark = pytest.mark.once


def run(tmp_path, *words, **environment):
    """Run Python on the site with nothing but this environment."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={"DATA_DIR": str(tmp_path / "data"), "PATH": os.environ["PATH"]}
        | environment,
        text=True,
        capture_output=True,
        timeout=120,
    )


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return what reads the settings anew, with nothing but this environment."""

    def load(**environment: str) -> ModuleType:
        folder = {"DATA_DIR": str(tmp_path / "data")}
        monkeypatch.setattr(os, "environ", folder | environment)
        spec = spec_from_file_location("polls.settings", ROOT / "polls/settings.py")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_it_works_with_no_environment(load):
    made = load()
    assert (made.DEBUG, made.SITE_URL, made.SECURE_SSL_REDIRECT) == (False, "", False)


def test_the_secret_is_made_once_and_kept_for_its_owner_alone(load, tmp_path):
    first = load().SECRET_KEY
    assert first == load().SECRET_KEY
    assert len(first) > 50
    assert (tmp_path / "data" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


@pytest.mark.server
def test_many_workers_agree_on_one_new_secret(tmp_path):
    code = "from polls.settings import SECRET_KEY; print(SECRET_KEY)"
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"DATA_DIR": str(tmp_path / "data")},
            stdout=subprocess.PIPE,
        )
        for _ in range(8)
    ]
    assert len({start.communicate()[0] for start in starts}) == 1


def test_the_secret_may_come_from_a_file(load, tmp_path):
    (tmp_path / "secret").write_text("s" * 40 + "\n")
    assert load(SECRET_KEY_FILE=str(tmp_path / "secret")).SECRET_KEY == "s" * 40
    assert not (tmp_path / "data" / "secret_key").exists()


def test_older_secrets_come_from_the_environment_and_the_folder(load, tmp_path):
    assert load().SECRET_KEY_FALLBACKS == []
    for name, letter in (("fallbacks", "b"), ("next", "c")):
        (tmp_path / "data" / f"secret_key_{name}").write_text(letter * 40 + "\n")
    made = load(SECRET_KEY_FALLBACKS=f"{'a' * 40} {'A' * 40}")
    assert [one[0] for one in made.SECRET_KEY_FALLBACKS] == ["a", "A", "b", "c"]


def test_a_secret_in_the_folder_may_be_a_sentence(load, tmp_path):
    (tmp_path / "data").mkdir()
    kept = "a sentence that nobody else has ever said"
    (tmp_path / "data" / "secret_key_fallbacks").write_text(f"{kept}\n\n{'b' * 40}\n")
    assert kept in load().SECRET_KEY_FALLBACKS


@pytest.mark.parametrize("name", ["secret_key", "secret_key_fallbacks"])
def test_a_secret_that_cannot_be_read_is_named(load, tmp_path, capsys, name):
    """As one of another user. Here it is a folder: the user who tests may be root, who can read every file."""
    (tmp_path / "data" / name).mkdir(parents=True)
    with pytest.raises(SystemExit):
        load()
    said = capsys.readouterr().err
    assert said.startswith(f"'{tmp_path}/data/{name}' cannot be read")
    assert "Give the file to the user who runs the site." in said


def test_site_url_switches_to_production(load):
    made = load(SITE_URL="https://polls.example.org")
    assert "polls.example.org" in made.ALLOWED_HOSTS
    assert made.CSRF_TRUSTED_ORIGINS == ["https://polls.example.org"]
    assert made.SESSION_COOKIE_SECURE and made.CSRF_COOKIE_SECURE
    assert made.VOTER_COOKIE_SECURE
    assert made.SECURE_SSL_REDIRECT and made.SECURE_HSTS_SECONDS


def test_what_browsers_leave_out_over_plain_http_is_not_sent(load):
    """They would say so in their console, on each page."""
    assert load().SECURE_CROSS_ORIGIN_OPENER_POLICY is None
    made = load(SITE_URL="https://polls.example.org")
    assert made.SECURE_CROSS_ORIGIN_OPENER_POLICY == "same-origin"


@pytest.mark.server
def test_check_deploy_is_silent_in_production(tmp_path):
    words = ["-W", "error", "manage.py", "check", "--deploy", "--fail-level", "INFO"]
    done = run(tmp_path, *words, SITE_URL="https://polls.example.org")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.server
def test_no_migration_is_missing(tmp_path):
    assert run(tmp_path, "manage.py", "makemigrations", "--check").returncode == 0


def test_no_later_migration_needs_the_models_of_today():
    """The first one names their defaults, as Django writes it."""
    later = sorted((ROOT / "polls/migrations").glob("0*.py"))[1:]
    assert later and [f.name for f in later if "polls.models" in f.read_text()] == []


WRONG = [
    ("SITE_URL", "polls.example.org"),
    ("SITE_URL", "ftp://polls.example.org"),
    ("SITE_URL", "https://polls.example.org/path"),
    ("SITE_URL", "https://user:word@polls.example.org"),
    ("SITE_URL", "https://[::1"),
    ("SITE_URL", "https://polls.example.org:99999"),
    ("SITE_URL", "https://*"),
    ("SITE_URL", "https://.example.org"),
    ("SITE_URL", "https://a b"),
    ("SITE_URL", "https://münchen.example"),
    ("ALLOWED_HOSTS", "http://www.example.org"),
    ("ALLOWED_HOSTS", "www.example.org:8000"),
    ("ALLOWED_HOSTS", "*"),
    ("DATABASE_URL", "sqlite://:memory:"),
    ("DATABASE_URL", "sqlite:////tmp/x.sqlite3?foo=bar"),
    ("DATABASE_URL", "sqlite:////proc/nowhere/polls.sqlite3"),
    ("DATABASE_URL_FILE", "/dev/null"),
    ("SECRET_KEY_FILE", "/dev/null"),
    ("SECRET_KEY_FILE", "/bin/true"),
    ("DATABASE_URL", "mysql://localhost/polls"),
    ("DATABASE_URL", "nonsense"),
    ("DATABASE_URL", "postgres://localhost:port/polls"),
    ("DATABASE_URL", "postgres://localhost"),
    ("DATABASE_URL", "postgres://a:70000,b:5432/polls"),
    ("DATABASE_URL", "postgres://localhost/polls?foo=bar"),
    ("DATABASE_URL", "postgres://user:pass%word@localhost/polls"),
    ("DATABASE_URL", "postgres://user:pass@word@localhost/polls"),
    ("DATABASE_LOCK_TIMEOUT", "10"),
    ("DATABASE_LOCK_TIMEOUT", "0"),
    ("DATABASE_STATEMENT_TIMEOUT", "12"),
    ("DATABASE_URL_FILE", "/nowhere"),
    ("DATA_DIR", "/proc/nowhere"),
    ("DATA_DIR", "/dev/null"),
    ("DATA_DIR", "/dev/null/data"),
    ("SECRET_KEY", "short"),
    ("SECRET_KEY_FALLBACKS", "short"),
    ("DEBUG", "perhaps"),
    ("ASGI_THREADS", "0"),
    ("FORWARDED_ALLOW_IPS", "10.0.0.1, proxy"),
]


@pytest.mark.parametrize("name, value", WRONG)
def test_it_rejects_a_bad_value_with_one_sentence(load, capsys, name, value):
    with pytest.raises(SystemExit):
        load(**{name: value})
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(name.removesuffix("_FILE"))


POSTGRES = {"DATABASE_URL": "postgres://polls@db/polls"}
SECRET = {"SECRET_KEY": "s" * 40}


@pytest.mark.parametrize(
    "platform", ["DYNO", "K_SERVICE", "RENDER", "FLY_APP_NAME", "WEBSITE_SITE_NAME"]
)
@pytest.mark.parametrize("folder", ["", "/nowhere-of-its-own/data"])
def test_nothing_is_kept_on_a_disk_that_vanishes(load, capsys, platform, folder):
    """Neither the votes nor the secret that tells voters apart."""
    place = {platform: "x", "DATA_DIR": folder}
    for kept, needed in ((SECRET, "DATABASE_URL"), (POSTGRES, "SECRET_KEY")):
        with pytest.raises(SystemExit):
            load(**place, **kept)
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith(f"{platform} is set") and f"Set {needed} to" in said
    assert load(**place, **POSTGRES, **SECRET).SECRET_KEY == "s" * 40


def test_a_platform_may_be_told_otherwise(load, tmp_path):
    """By a folder on a mounted volume, or by the address of a file, which is taken at its word."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as volume:
        made = load(DYNO="web.1", DATA_DIR=f"{volume}/data")
        assert made.DATABASES["default"]["NAME"] == f"{volume}/data/polls.sqlite3"
    file = str(tmp_path / "polls.sqlite3")
    load(DYNO="web.1", DATA_DIR="", DATABASE_URL=f"sqlite:///{file}", **SECRET)


WRONG_AT_START = [
    ("DATABASE_URL", "postgres://localhost:1/polls?foo=bar"),
    ("DATABASE_URL", "postgres://localhost:1/polls?sslmode=bad"),
    ("TIME_ZONE", "Mars/Olympus"),
    ("DJANGO_SUPERUSER_USERNAME", "a b"),
    ("DJANGO_SUPERUSER_USERNAME", "ann"),
]


@pytest.mark.server
@pytest.mark.parametrize("name, value", WRONG_AT_START)
def test_it_does_not_start_with_what_cannot_be_used(tmp_path, name, value):
    done = run(tmp_path, "-c", "import polls.wsgi", **{name: value})
    assert done.returncode == 1
    (said,) = done.stderr.strip().splitlines()
    # An organiser without a password is refused for that.
    assert name.partition("_USER")[0] in said


@pytest.mark.server
def test_it_names_the_data_folder_in_which_no_database_can_be_opened(tmp_path):
    (tmp_path / "data/polls.sqlite3").mkdir(parents=True)
    done = run(tmp_path, "-c", "import polls.wsgi")
    (said,) = done.stderr.strip().splitlines()
    assert (done.returncode, str(tmp_path / "data") in said) == (1, True)


BAD_START = [
    ("SITE_URL", "nonsense"),
    ("DATABASE_URL", "nonsense"),
    ("DATA_DIR", "/proc/nowhere"),
    ("PORT", "http"),
    ("PORT", "99999"),
    ("PORT", "0"),
    ("PORT", "0000080801"),
    ("WEB_CONCURRENCY", "0"),
    ("HOST", "203.0.113.1"),
    ("HOST", "nowhere.invalid"),
]


@pytest.mark.server
@pytest.mark.parametrize("name, value", BAD_START)
def test_gunicorn_does_not_start_on_a_bad_value(tmp_path, name, value):
    environment = {"HOST": "127.0.0.1", name: value}
    done = run(tmp_path, "-m", "gunicorn", "polls.wsgi", **environment)
    assert done.returncode == 1
    assert name in done.stderr or "data folder" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.server
def test_gunicorn_stops_on_a_bad_value_without_its_configuration_too(tmp_path):
    """Workers that failed are not started again for ever."""
    words = ["-m", "gunicorn", "-c", os.devnull, "-b", "127.0.0.1:0", "polls.wsgi"]
    done = run(tmp_path, *words, SITE_URL="nonsense")
    assert done.returncode == 3
    assert "SITE_URL is 'nonsense'" in done.stderr


@pytest.mark.server
def test_gunicorn_does_not_serve_asgi_with_a_wsgi_worker(tmp_path):
    address = {"HOST": "127.0.0.1", "PORT": str(free_port())}
    done = run(tmp_path, "-m", "gunicorn", "polls.asgi", **address)
    assert done.returncode == 1
    assert "Add -k uvicorn.workers.UvicornWorker" in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "host=db password=hunter2 dbname=polls",
        "postgres://polls:%hunter2@db/polls",
        "postgres://polls:no@hunter2@db/polls",
        "postgres://polls:hunter2/x@db/polls",
        "postgres://polls:1/hunter2@db/polls",
        "postgres://polls:hunter2/x?y@db/polls",
        "postgres://polls:x/x?hunter2@db/polls",
        "postgres://polls:hunter2@db:port/polls",
        "postgres://polls:hunter2@db/polls?x=y",
    ],
)
def test_no_password_of_a_database_is_printed(load, capsys, url):
    with pytest.raises(SystemExit):
        load(DATABASE_URL=url)
    assert "hunter2" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["DATABASE_URL_FILE", "SECRET_KEY_FILE"])
def test_what_was_put_in_the_place_of_a_files_name_is_not_printed(load, capsys, name):
    with pytest.raises(SystemExit):
        load(**{name: "postgres://polls:hunter2@db/polls"})
    said = capsys.readouterr().err
    assert said.startswith(f"{name} names a file, which cannot be read (No such file")
    assert "hunter2" not in said


def test_an_address_of_postgresql_has_several_hosts_and_options(load):
    url = "postgres://ann:p%40ss@a:5432,[::1]:5433/polls?sslmode=verify-full&connect_timeout=2"
    made = load(DATABASE_URL=url).DATABASES["default"]
    names = "HOST", "PORT", "NAME", "USER", "PASSWORD"
    assert [made[name] for name in names] == ["a,::1", "5432,5433", "polls", "ann", "p@ss"]  # fmt: skip
    assert made["OPTIONS"]["sslmode"] == "verify-full"
    assert made["OPTIONS"]["connect_timeout"] == "2"
    assert made["OPTIONS"]["target_session_attrs"] == "read-write"


def test_an_address_of_sqlite_has_a_file_and_a_timeout(load, tmp_path):
    url = f"sqlite:///{tmp_path}/a%20b.sqlite3?timeout=3"
    made = load(DATABASE_URL=url).DATABASES["default"]
    assert made["NAME"] == f"{tmp_path}/a b.sqlite3"
    assert made["OPTIONS"]["timeout"] == 3


def test_a_timeout_that_is_none_is_said_to_be_wrong(load, capsys):
    with pytest.raises(SystemExit):
        load(DATABASE_URL="sqlite:////tmp/x.sqlite3?timeout=soon")
    assert "DATABASE_URL has the timeout 'soon'. Use seconds" in capsys.readouterr().err


def test_hosts_are_split_and_the_usual_port_is_left_out(load):
    hosts = "a.example.org, b.example.org"
    made = load(ALLOWED_HOSTS=hosts, SITE_URL="https://polls.example.org:443")
    assert {"a.example.org", "b.example.org"} <= set(made.ALLOWED_HOSTS)
    assert made.SITE_URL == "https://polls.example.org"


def test_a_data_folder_may_have_any_name(load, tmp_path):
    folder = tmp_path / "50% #1?"
    name = load(DATA_DIR=str(folder)).DATABASES["default"]["NAME"]
    assert name == str(folder / "polls.sqlite3")


@pytest.mark.server
def test_manage_says_in_one_sentence_that_the_database_is_away(tmp_path):
    url = "postgres://localhost:1/polls"
    done = run(tmp_path, "manage.py", "recount", DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith("The database cannot be used")
    assert len(done.stderr.splitlines()) == 1


def test_it_does_not_start_on_an_old_sqlite(load, capsys, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(SystemExit):
        load()
    assert "3.35" in capsys.readouterr().err


@pytest.mark.server
def test_an_accepted_vote_survives_a_power_cut(tmp_path):
    code = (
        "import django; django.setup(); from django.db import connection as c\n"
        "for name in ('journal_mode', 'synchronous'):\n"
        "    print(c.cursor().execute(f'PRAGMA {name}').fetchone()[0])"
    )
    done = run(tmp_path, "-c", code, DJANGO_SETTINGS_MODULE="polls.settings")
    assert done.stdout.split() == ["wal", "2"]


@pytest.mark.server
def test_uvicorn_does_not_start_on_a_bad_value(tmp_path):
    words = ["-m", "uvicorn", "--port", "0", "polls.asgi:application"]
    done = run(tmp_path, *words, SITE_URL="nonsense")
    assert done.returncode == 1
    assert "SITE_URL is 'nonsense'" in done.stderr


@pytest.mark.server
@pytest.mark.parametrize("command", ["check", "runserver"])
def test_a_command_has_all_the_time_that_it_takes_unless_it_serves(tmp_path, command):
    url = {"DATABASE_URL": "postgres://localhost/polls"}
    code = f"""
import os, runpy, sys
before = {{*os.environ, "DJANGO_SETTINGS_MODULE", "TZ"}}
sys.argv = ["manage.py", "{command}", "--help"]
try:
    runpy.run_path("manage.py", run_name="__main__")
except SystemExit:
    from django.db import connection
    print(connection.settings_dict["IS_LIMITED"], set(os.environ) - before)
"""
    said = run(tmp_path, "-c", code, **url).stdout.splitlines()[-1]
    # Nothing that a server which is started from a command would have, too.
    assert said == f"{command == 'runserver'} set()"


@pytest.mark.server
@pytest.mark.parametrize(
    "statement, words, is_explained",
    [
        ("selec", [], False),
        ("SELECT nothing", ["--traceback"], False),
        ("", [], True),
        ("", ["--traceback"], False),
    ],
)
def test_a_command_tells_where_it_failed_unless_the_database_is_closed(
    tmp_path, statement, words, is_explained
):
    """Without a statement the database is no database."""
    run(tmp_path, "-c", "import polls.wsgi")
    if not statement:
        (tmp_path / "data/polls.sqlite3").write_text("no database " * 1000)
    code = f"from django.db import connection as c; c.cursor().execute({statement!r})"
    done = run(tmp_path, "manage.py", "shell", "--no-imports", *words, "-c", code)
    assert done.returncode == 1
    assert ("is damaged" in done.stderr.splitlines()[0]) == is_explained
    assert ("Traceback" in done.stderr) == (not is_explained)
    assert "Check the data folder" not in done.stderr


def test_what_a_site_looks_like_is_read(load, tmp_path):
    logo = tmp_path / "logo.svg"
    logo.write_text("<svg/>")
    made = load(
        SITE_NAME="Garden club",
        SITE_LOGO=str(logo),
        ACCENT_COLOUR="#FFCC00",
        IMPRINT_URL="mailto:board@example.org",
    )
    assert made.SITE_NAME == "Garden club"
    assert str(made.SITE_LOGO) == str(logo)
    assert made.ACCENT_COLOUR == "#ffcc00"
    assert made.IMPRINT_URL == "mailto:board@example.org"


@pytest.mark.parametrize(
    "name, value",
    [
        ("SITE_NAME", "long " * 20),
        ("ACCENT_COLOUR", "red"),
        ("ACCENT_COLOUR", "#12345"),
        ("IMPRINT_URL", "javascript:alert(1)"),
        ("IMPRINT_URL", "imprint.html"),
        ("SITE_LOGO", "/nowhere/logo.svg"),
        ("SITE_LOGO", __file__),
        ("SITE_LOGO", "big.png"),
    ],
)
def test_it_rejects_what_a_site_cannot_look_like(load, tmp_path, capsys, name, value):
    if value == "big.png":
        value = str(tmp_path / value)
        (tmp_path / "big.png").write_bytes(b"x" * 200_000)
    with pytest.raises(SystemExit):
        load(**{name: value})
    told = capsys.readouterr().err
    assert told.startswith(f"{name} is ") and told.count("\n") == 1

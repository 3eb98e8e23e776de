"""For every suite in this repo, tests/ and polls/tests.py alike: they share one test database."""

import os
import sys
from collections.abc import Iterator

import pytest

# Bytecode: where the environment forbids to keep it, each server and each worker of pytest-xdist compiles all modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Test on a SQLite file as the site uses it: a database in memory has other locks."""
    from django.conf import settings

    database = settings.DATABASES["default"]
    if "sqlite" in database["ENGINE"]:
        folder = tmp_path_factory.mktemp("database")
        database.setdefault("TEST", {})["NAME"] = str(folder / "test.sqlite3")


@pytest.fixture(scope="session", autouse=True)
def quick_and_plain() -> Iterator[None]:
    """Hash passwords without the work that keeps thieves busy, and speak English over plain http, whatever the site does."""
    from django.conf import settings
    from django.test import override_settings

    quick = "django.contrib.auth.hashers.MD5PasswordHasher"
    with override_settings(
        PASSWORD_HASHERS=[quick, *settings.PASSWORD_HASHERS],
        SITE_URL="",
        SECURE_SSL_REDIRECT=False,
        LANGUAGE_CODE="en",
        TIME_ZONE="UTC",
        # A test is one transaction, also where it computes between two statements for seconds.
        DATABASE_IDLE_TIMEOUT=120,
    ):
        yield

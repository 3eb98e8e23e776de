import datetime
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils import timezone
from servers import Site

from polls import models, guesses, memory
from polls.models import Choice, Question

Ask = Callable[..., Question]


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what is about the other database: make test runs the suite on each.

    What has nothing to do with the kind of database, or takes a browser, runs on SQLite alone.
    """
    on_server = "DATABASE_URL" in os.environ
    others = ["sqlite", "once"] if on_server else ["postgresql"]
    left_out = [item for item in items if any(map(item.get_closest_marker, others))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


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


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept in memory: a test looks at what has just been done. (tests/test_memory.py keeps.)"""
    memory.forget()
    models._run_offs.clear()
    monkeypatch.setattr(memory, "KEPT", 0)
    guesses._wrong.clear()


@pytest.fixture
def ask(db: None) -> Ask:
    """Return the one who asks: ask("Red or blue?", "Red", "Blue", opens=hours, closes=hours from now)."""

    def ask(
        text: str, *choices: str, opens: float = -1, closes: float | None = None
    ) -> Question:
        hours = lambda n: timezone.now() + datetime.timedelta(hours=n)
        question = Question.objects.create(
            question_text=text,
            pub_date=hours(opens),
            closes_at=None if closes is None else hours(closes),
        )
        for choice in choices:
            Choice.objects.create(question=question, choice_text=choice)
        return question

    return ask


@pytest.fixture
def colours(ask: Ask) -> Question:
    return ask("Which colour?", "Red", "Blue")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Start servers as a user would, each on a database of its own; they end with the test."""
    sites = []

    def start(command: str, terminal: bool = False, **environment: str) -> Site:
        folder = tmp_path / f"site{len(sites)}"
        sites.append(Site(command, folder, environment, terminal=terminal))
        return sites[-1]

    yield start
    for site in sites:
        site.stop()

import datetime
import io
import logging
import logging.config
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from django.utils import timezone
from pytest_django import Settings

from polls import process_memory
from polls.background import after_close
from polls.counting import rounds
from polls.models import Choice, Question
from polls.serving import own_pages, spectator_cache, throttle
from polls.serving.asgi_handler import Handler
from tests.support.handler import handling
from tests.support.servers import Site
from tests.support.waiting import wait_until

Ask = Callable[..., Question]


# Before pytest-xdist reads the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what is about the other database: make test runs the suite on each.

    What has nothing to do with the kind of database, or takes a browser, runs on SQLite alone.
    """
    for item in items:
        if {"start", "share"} & set(item.fixturenames):
            item.add_marker(pytest.mark.server)
        named = item.get_closest_marker("xdist_group")
        if "share" in item.fixturenames and not named:
            item.add_marker(pytest.mark.xdist_group(_server(item)))
    on_server = "DATABASE_URL" in os.environ
    others = ["sqlite", "once"] if on_server else ["postgresql"]
    left_out = [item for item in items if any(map(item.get_closest_marker, others))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def no_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold each test to its mark: nobody keeps a list of those that make test-fast leaves out."""

    def refuse(*words: object, **options: object) -> NoReturn:
        pytest.fail("What starts a process is marked: @pytest.mark.server")

    if not request.node.get_closest_marker("server"):
        monkeypatch.setattr(subprocess, "Popen", refuse)


@pytest.fixture(autouse=True)
def no_throttle() -> None:
    """Whoever guessed codes in the test before has not guessed any in this one."""
    throttle.wrong_tries.clear()


@pytest.fixture
def log(settings: Settings) -> Iterator[io.StringIO]:
    """What the operator reads, as the site's own settings write it."""
    logging.config.dictConfig(settings.LOGGING)
    handler, written = logging.getLogger("django").handlers[0], io.StringIO()
    before = handler.setStream(written)
    yield written
    handler.setStream(before)


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep pages, questions and run-offs in memory, as a server does and a test does not."""
    monkeypatch.setattr(process_memory, "KEPT_IN_TESTS", True)
    kept = own_pages.pages, spectator_cache.pages, spectator_cache.questions
    rounds.clear()
    for cache in kept:
        cache.clear()
    yield
    # The next test finds no thread still at work for this one.
    wait_until(lambda: after_close.is_idle and rounds.big_counts.is_idle, 60)
    for cache in kept:
        cache.clear()


@pytest.fixture
def ask(db: None) -> Ask:
    """Return the one who asks: ask("Which?", "Red", "Blue", closes=hours from now, kind="ranked", voters="codes")."""

    def ask(
        text: str,
        *choices: str,
        opens: float = -1,
        closes: float | None = None,
        **promises: object,
    ) -> Question:
        hours = lambda n: timezone.now() + datetime.timedelta(hours=n)
        question = Question.objects.create(
            question_text=text,
            pub_date=hours(opens),
            closes_at=None if closes is None else hours(closes),
            **promises,
        )
        for choice in choices:
            Choice.objects.create(question=question, choice_text=choice)
        return question

    return ask


@pytest.fixture
def question(ask: Ask) -> Question:
    return ask("Which colour?", "Red", "Blue")


@pytest.fixture
def red(ask: Ask, keeping: None, monkeypatch: pytest.MonkeyPatch) -> Choice:
    """A question that the worker has just read, as it is while people vote."""
    monkeypatch.setattr(spectator_cache, "questions", spectator_cache.Cache(ttl=60))
    question = ask("Which colour?", "Red", "Blue")
    assert spectator_cache.questions.get_or_make(
        question.pk, lambda: question
    ).choice_texts
    return question.choice_set.get(choice_text="Red")


@pytest.fixture
def handler(settings: Settings) -> Iterator[Handler]:
    with handling(settings) as handler:
        yield handler


def _server(item: pytest.Item) -> str:
    """Name the server that tests share: one worker starts it, and runs them all."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return f"{item.module.__name__} {params.get('site', '')}"


@contextmanager
def _starting(folder: Path) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def start(
        command: str, terminal: bool = False, fresh: bool = False, **environment: str
    ) -> Site:
        own = folder / f"site{len(sites)}"
        sites.append(Site(command, own, environment, terminal=terminal, fresh=fresh))
        return sites[-1]

    try:
        yield start
    finally:
        for site in sites:
            site.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Start servers as a user would, each on a database of its own, empty if `fresh`; they end with the test."""
    with _starting(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Start servers that end with the module. Each test asks its own question, and leaves it running."""
    with _starting(tmp_path_factory.mktemp("shared")) as start:
        yield start

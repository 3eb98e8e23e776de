"""A PostgreSQL that keeps people waiting: they get the site's own 503 before their server or proxy gives them up."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import (
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)
from django.test import Client
from pytest_django import Settings

from polls.models import Ballot, Choice, Question
from polls.postgresql import base
from polls.voting.cast import cast

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[None]:
    """The limits in their order, but shorter, on new connections."""
    monkeypatch.setattr(base, "HEALTH", 1)
    monkeypatch.setattr(base, "FROZEN", 1)
    settings.DATABASE_LOCK_TIMEOUT = 2
    settings.DATABASE_STATEMENT_TIMEOUT = 3
    settings.DATABASE_IDLE_TIMEOUT = 1
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "connect_timeout", 2)
    connection.close()
    yield
    connection.close()


@contextlib.contextmanager
def locked(question: Question) -> Iterator[None]:
    """Hold what every vote on this question needs."""
    rows = "SELECT id FROM polls_choice WHERE question_id = %s FOR UPDATE"
    with base.Connection.connect(**connection.get_connection_params()) as other:
        other.execute(rows, [question.pk])
        yield


@contextlib.contextmanager
def frozen(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[None]:
    """Stop the server's process for this connection; new ones are taken, and never answered."""
    connection.ensure_connection()
    pid = connection.connection.info.backend_pid
    with socket.socket(socket.AF_UNIX) as silent, monkeypatch.context() as elsewhere:
        silent.bind(f"{folder}/.s.PGSQL.5432")
        silent.listen()
        elsewhere.setitem(connection.settings_dict, "HOST", str(folder))
        elsewhere.setitem(connection.settings_dict, "PORT", "5432")
        for name in ("host", "port"):
            elsewhere.delitem(connection.settings_dict["OPTIONS"], name, False)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
            connection.close()


@pytest.fixture
def visitor() -> Client:
    return Client(raise_request_exception=False)


def vote(visitor: Client, question: Question) -> int:
    """Vote for the first choice."""
    red = question.choice_texts.copy().popitem()[0]
    path = f"/polls/{question.pk}/vote/"
    return visitor.post(path, {"choice": red}).status_code


def test_a_lock_that_is_held_for_long_is_503(visitor, question):
    question.choice_texts
    with locked(question):
        began = time.monotonic()
        red = question.choice_texts.copy().popitem()[0]
        page = visitor.post(f"/polls/{question.pk}/vote/", {"choice": red})
        assert page.status_code == 503 and time.monotonic() - began < 5
        assert "Your vote was not counted" in page.text
        assert visitor.get(f"/polls/{question.pk}/results/").status_code == 200
    assert not Ballot.objects.exists()
    assert vote(visitor, question) == 302
    assert Ballot.objects.count() == 1


def test_a_change_gives_up_waiting_too(visitor, question):
    assert vote(visitor, question) == 302
    path = f"/polls/{question.pk}/withdraw/"
    with locked(question):
        assert visitor.post(path).status_code == 503
    assert visitor.post(path).status_code == 302


def test_a_server_that_becomes_a_standby_is_503(visitor, question):
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    red = question.choice_texts.copy().popitem()[0]
    page = visitor.post(f"/polls/{question.pk}/vote/", {"choice": red})
    assert page.status_code == 503 and "Your vote was not counted" in page.text


def sleep(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


def test_a_statement_is_given_up_unless_it_may_be_long():
    with pytest.raises(OperationalError, match="statement timeout"):
        sleep(10)
    with connection.long_statements():
        sleep(3.5)


def test_the_limit_is_there_again_after_an_error():
    with pytest.raises(ProgrammingError), transaction.atomic():
        with connection.long_statements(), connection.cursor() as cursor:
            cursor.execute("SELECT nothing")
    with pytest.raises(OperationalError, match="statement timeout"):
        sleep(10)


def stop_in_a_transaction(question: Question) -> None:
    """Hold locks, and go on when somebody else has them."""
    with transaction.atomic():
        question.choice_set.lock()
        with locked(question):
            pass
        Question.objects.first()


def test_whoever_stops_in_a_transaction_gives_its_locks_back(visitor, question):
    with pytest.raises(InternalError, match="idle-in-transaction"):
        stop_in_a_transaction(question)
    assert vote(visitor, question) == 302


def test_a_frozen_server_is_503_in_seconds(
    visitor, question, monkeypatch, tmp_path_factory
):
    question.choice_texts
    with frozen(monkeypatch, tmp_path_factory.mktemp("f")):
        for ask in (
            lambda: visitor.get("/healthz").status_code,
            lambda: vote(visitor, question),
        ):
            began = time.monotonic()
            assert ask() == 503
            assert time.monotonic() - began < 5
    assert visitor.get("/healthz").status_code == 200
    assert vote(visitor, question) == 302


def test_a_server_that_freezes_during_a_vote_is_not_waited_for(
    question, monkeypatch, tmp_path_factory
):
    choices = list(question.choice_texts)
    with frozen(monkeypatch, tmp_path_factory.mktemp("f")):
        began = time.monotonic()
        with pytest.raises(OperationalError):
            cast(question, "ann", choices[:1])
        assert time.monotonic() - began < 6
    # What it was sent it may have done when it went on: the next time that is a change, and no second ballot.
    assert cast(question, "ann", choices[:1])
    assert Ballot.objects.count() == Choice.objects.get(pk=choices[0]).votes == 1

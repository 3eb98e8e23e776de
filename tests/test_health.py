"""/healthz and /readyz: what a load balancer and an operator ask."""

import asyncio
import errno
import os
import threading

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError, connection, connections, transaction

from polls.views import public
from tests.support.visits import Visit, send


def refuse_every_query(execute, sql, params, many, context):
    raise OperationalError("connection to server at 10.0.0.5 failed")


def fill_the_disk(execute, sql, params, many, context):
    raise OperationalError("database or disk is full")


@pytest.fixture
def asked(client):
    """Ask both, as a program does that wants no exception."""
    client.raise_request_exception = False
    return lambda: [client.get(path) for path in ("/healthz", "/readyz")]


def test_it_is_well_and_ready(asked, db):
    assert [(a.status_code, a.text) for a in asked()] == [(200, "ok\n")] * 2
    assert {a.headers["Cache-Control"] for a in asked()} == {"no-store"}


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (refuse_every_query, "The database cannot be used."),
        (fill_the_disk, "There is no room on the disk."),
    ],
)
def test_it_says_why_it_is_not_and_names_no_machine(asked, db, spoil, reason):
    with connection.execute_wrapper(spoil):
        answers = asked()
    for answer in answers:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.text.startswith(f"{reason}\n")
        assert "10.0.0.5" not in answer.text


def test_a_shortage_of_the_system_has_its_name(asked, db, monkeypatch):
    def fail(*words):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(public, "render_to_string", fail)
    health, ready = asked()
    assert health.text.startswith("Too many open files.\n")
    assert ready.status_code == 200


@pytest.mark.parametrize("app, name", [("polls", "%"), ("auth", "0012%")])
def test_a_database_that_is_older_than_the_code_is_not_ready(asked, db, app, name):
    with transaction.atomic():
        with connection.cursor() as cursor:
            delete = "DELETE FROM django_migrations WHERE app = %s AND name LIKE %s"
            cursor.execute(delete, [app, name])
        health, ready = asked()
        transaction.set_rollback(True)
    assert (health.status_code, ready.status_code) == (200, 503)
    assert f"The database lacks {app}." in ready.text
    assert "manage.py migrate" in ready.text


@pytest.mark.django_db(transaction=True)
def test_both_are_answered_while_every_thread_waits_for_the_database(handler):
    """One thread of the pool, which is held."""
    let_go = threading.Event()
    page = handler.threads.submit(let_go.wait, 10)
    try:
        assert send(handler, Visit("/healthz"), Visit("/readyz")) == [200, 200]
        assert not page.done()
    finally:
        let_go.set()


@pytest.mark.django_db(transaction=True)
def test_many_who_ask_share_a_check_and_a_connection(handler, monkeypatch):
    """Everybody may ask, and a database has few connections."""
    free, checks = threading.Event(), []
    really = type(connections["default"]).check_health

    def slow_check(wrapper):
        checks.append(threading.current_thread().name)
        assert free.wait(10)
        really(wrapper)

    monkeypatch.setattr(type(connections["default"]), "check_health", slow_check)
    visits = [Visit("/healthz") for _ in range(30)]

    async def all_at_once():
        asked = [asyncio.ensure_future(visit.to(handler)) for visit in visits]
        # Each of them runs until it waits for its thread.
        await asyncio.sleep(0)
        free.set()
        await asyncio.gather(*asked)

    async_to_sync(all_at_once)()
    assert {visit.sent[0]["status"] for visit in visits} == {200}
    assert len(checks) == 1
    # Whoever comes later is told how it is then.
    assert send(handler, Visit("/healthz")) == [200]
    assert len(checks) == 2 and len(set(checks)) == 1


@pytest.mark.django_db(transaction=True)
def test_all_who_wait_are_told_that_it_failed(handler, monkeypatch):
    def fail(wrapper):
        raise OperationalError("away")

    monkeypatch.setattr(type(connections["default"]), "check_health", fail)
    assert send(handler, *(Visit("/healthz") for _ in range(5))) == [503] * 5
    monkeypatch.undo()
    assert send(handler, Visit("/healthz")) == [200]

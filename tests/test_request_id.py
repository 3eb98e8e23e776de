"""One name for a request: in the answer, on the error page, in the log, and from the proxy before the site."""

import json
import logging
import logging.config
import re

import pytest
from django.db import OperationalError, connection

from polls.serving.logs import JsonLine
from polls.views import results
from tests.support.visits import Visit, send

NAMED = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


def test_each_answer_has_a_name_of_its_own(client, question):
    pages = ["/polls/", "/polls/", f"/polls/{question.pk}/", "/nowhere", "/healthz"]
    names = [client.get(path).headers["X-Request-ID"] for path in pages]
    assert len(set(names)) == 5
    assert all(re.fullmatch("[0-9a-f]{24}", name) for name in names)


def test_a_trusted_proxy_names_it(client, db):
    page = client.get("/polls/", headers={"X-Request-ID": NAMED})
    assert page.headers["X-Request-ID"] == NAMED


@pytest.mark.parametrize(
    "named",
    ["", "short", "203.0.113.9.203.0.113.9", "2001:db8::7:2001:db8", "a" * 65]
    + ["x" * 20 + "\nINFO forged"],
)
def test_a_name_that_is_none_is_not_taken(client, db, named):
    page = client.get("/polls/", headers={"X-Request-ID": named})
    assert re.fullmatch("[0-9a-f]{24}", page.headers["X-Request-ID"])


def test_a_stranger_names_nothing(client, db):
    page = client.get(
        "/polls/", headers={"X-Request-ID": NAMED}, REMOTE_ADDR="203.0.113.9"
    )
    assert page.headers["X-Request-ID"] != NAMED


def test_a_proxy_whose_address_the_server_has_replaced_is_trusted(client, db):
    """As uvicorn does with the one that it was told to trust."""
    page = client.get(
        "/polls/",
        headers={"X-Request-ID": NAMED},
        REMOTE_ADDR="203.0.113.9",
        REMOTE_PORT=0,
    )
    assert page.headers["X-Request-ID"] == NAMED


def test_a_fault_of_ours_has_one_name_on_the_page_and_in_the_log(
    client, question, monkeypatch, log
):
    monkeypatch.setattr(results, "rows_of", lambda *words: 1 / 0)
    client.raise_request_exception = False
    page = client.get(f"/polls/{question.pk}/results/")
    name = page.headers["X-Request-ID"]
    assert f"Reference for the operator: {name}" in page.text
    assert f"django.request [{name}]: Internal Server Error" in log.getvalue()


def refuse_every_query(execute, sql, params, many, context):
    raise OperationalError("the database is away")


def test_what_cannot_be_answered_now_quotes_its_name(client, question, log):
    client.raise_request_exception = False
    client.get(f"/polls/{question.pk}/")
    with connection.execute_wrapper(refuse_every_query):
        page = client.get("/polls/?page=2")
        vote = client.post(f"/polls/{question.pk}/vote/", {"choice": "1"})
        data = client.get(f"/polls/{question.pk}/results.json")
    for answer in (page, vote):
        assert f"operator: {answer.headers['X-Request-ID']}<" in answer.text
    assert data.json()["request"] == data.headers["X-Request-ID"]
    assert f"[{page.headers['X-Request-ID']}]: Answered 503" in log.getvalue()


def test_other_pages_quote_none(client, db):
    assert "Reference" not in client.get("/nowhere").text


def test_an_event_is_one_line_of_json(caplog):
    try:
        raise ValueError("at /r/7KQM4T2WX9RB/\nand more")
    except ValueError:
        logging.getLogger("somebody").exception("Broken: %s", "über\nzwei")
    line = JsonLine().format(caplog.records[-1])
    assert "\n" not in line
    event = json.loads(line)
    assert (event["level"], event["logger"]) == ("ERROR", "somebody")
    assert event["message"] == "Broken: über\nzwei"
    assert event["time"].endswith("+00:00")
    assert "test_request_id.py" in event["traceback"]
    assert "7KQM" not in line


def test_a_page_from_memory_is_named_too(handler, question, keeping):
    visits = [Visit("/polls/") for _ in range(3)]
    for visit in visits:
        send(handler, visit)
    names = {dict(visit.sent[0]["headers"])[b"X-Request-ID"] for visit in visits}
    assert len(names) == 3

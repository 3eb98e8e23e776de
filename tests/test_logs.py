"""Whoever reads the logs of a server finds no code, no receipt and no address of a voter."""

import copy
import json
import logging.config
import re
import socket

import pytest
from django.db import OperationalError, connection

from polls.serving.logs import QUIET, RepeatedLines, clean
from polls.views import results
from tests.support.people import Voter
from tests.support.servers import Site

CODE = "7KQM-4T2W-X9RB"
PLAIN = CODE.replace("-", "")
GROUPS = re.compile("7KQM|4T2W|X9RB", re.IGNORECASE)


@pytest.mark.parametrize(
    "text",
    [
        f"/r/{PLAIN}/",
        f"/R/{PLAIN.lower()}",
        "/vote/r/7kqm 4t2w 'x9rb'/ HTTP/1.1",
        f"/r/?code={CODE}",
        f"/r/?Code={PLAIN}&x=1",
        f"/r/?c%6Fde={PLAIN}",
        f"/polls/3/code/{PLAIN}/",
        f"/polls/3/CODE/{PLAIN}/",
        "/polls/3/%63ode/%37KQM4T2WX9RB/",
        "/polls/3/%2563ode/%37%4b%51%4d4T2WX9RB/",
        "/%72/7KQM%204T2W%20X9RB",
        f"/r%2F{PLAIN}",
        "/r/%207kqm%204t2w%0Ax9rb/",
        f"/accounts/login/?next=/polls/3/code/{PLAIN}/",
        f"/accounts/login/?next=%2Fr%2F{PLAIN}",
        f"/polls/3/cod/{PLAIN.lower()}/",
        f"Key (receipt)=({PLAIN}) already exists.",
        f"Reverse for 'receipt' with arguments '('{CODE}',)' not found.",
        "Invalid HTTP request line: 'GET /r/7KQM 4T2W X9RB HTTP/1.1'",
        "two lines\nGET /r/7KQM 4T2W X9RB\nand three",
    ],
)
def test_a_code_is_taken_out_of_a_text(text):
    assert not GROUPS.search(clean(text))


@pytest.mark.parametrize(
    "text",
    [
        "/polls/3/results.json",
        "/polls/3/code/",
        "/r/",
        "GET /r/ HTTP/1.1",
        "/static/polls/style.css",
        "Listening at: http://127.0.0.1:8000 (12)",
        'connection to server at "10.0.0.5", port 5432 failed',
        "Invalid HTTP_HOST header: '10.0.0.5'. You may need to add '10.0.0.5' to ALLOWED_HOSTS.",
        "unable to open /code/var/polls.sqlite3",
        "organization, 202611251159 and 100% of f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    ],
)
def test_what_helps_the_operator_stays(text):
    assert clean(text) == text


def test_it_says_what_was_asked_all_the_same():
    assert clean(f"GET /r/{PLAIN}/ HTTP/1.1") == "GET /r/- HTTP/1.1"
    assert clean("GET /polls/?page=2 HTTP/1.1") == "GET /polls/?- HTTP/1.1"
    assert clean(f"Not Found: /polls/3/%63ode/{PLAIN}/") == "Not Found: /polls/3/code/-"


def test_every_logger_is_discreet(caplog):
    """Also one that nobody has thought of, and what an exception says."""
    logger = logging.getLogger("somebody.else")
    logger.error("Error handling request %s %s", "GET", f"/r/{PLAIN}/")
    logger.error("%(r)s by %(h)s", {"r": f"GET /r/{PLAIN}/", "h": "203.0.113.9"})
    logger.error("%s - asks", "203.0.113.9:4711")
    logger.error("Invalid request from ip=2001:db8::7: Invalid version: '4T2W X9RB/'")
    try:
        raise ValueError(f"/polls/3/code/{PLAIN}/")
    except ValueError as error:
        logger.exception("Broken: %s", error)
    assert caplog.text.count("ERROR") == 5
    assert "test_logs.py" in caplog.text and "ValueError" in caplog.text
    assert not GROUPS.search(caplog.text)
    assert "203.0.113" not in caplog.text and "2001:db8" not in caplog.text


class Counted(Exception):
    looked = 0

    def __str__(self) -> str:
        self.looked += 1
        return f"/r/{PLAIN}/"


def test_a_traceback_is_made_when_it_is_written():
    """A 503 that a filter leaves out costs none."""
    error = Counted()
    exc_info = (Counted, error, None)
    record = logging.getLogger("django.request").makeRecord(
        "django.request", logging.ERROR, "x.py", 1, "Broken", (), exc_info
    )
    assert error.looked == 0
    # Some handlers have it made once more.
    again = copy.copy(record)
    for _ in range(2):
        written = logging.Formatter().format(again)
        assert "Counted: /r/-" in written and not GROUPS.search(written)
        again.exc_text = None
    again.exc_text = f"ours: /r/{PLAIN}"
    assert not GROUPS.search(logging.Formatter().format(again))
    again.exc_info = again.exc_text = None
    assert logging.Formatter().format(again) == "Broken"


def test_a_log_line_stays_one_line(caplog):
    logging.getLogger("somebody").error("%s", "/r/%0AINFO: forged")
    assert len(caplog.text.splitlines()) == 1


def ask_everything(site: Site, question: int) -> None:
    voter = Voter(site.base)
    own = f"/polls/{question}"
    paths = [f"/r/{PLAIN}/", f"/R/{PLAIN}/", f"/%72/{PLAIN}/", f"/r/?code={CODE}"]
    paths += [f"/r/?x=1&CODE={PLAIN}", f"{own}/code/{CODE}/", f"{own}/CODE/{PLAIN}/"]
    paths += [f"{own}/%63ode/{PLAIN.lower()}/", f"/accounts/login/?next=/r/{PLAIN}/"]
    for path in paths:
        assert voter.get(path).status < 500
        # Without a token, and where nothing is to be posted.
        assert voter.request("POST", path, b"x=1").status < 500
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        upgrade |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "A" * 22 + "=="}
        voter.request("GET", path, **upgrade)
        Voter(site.base, headers={"Host": "evil.example"}).get(path)
    for line in (
        "GET /r/7KQM 4T2W X9RB/ HTTP/1.1\r\nHost: localhost",
        f"GET /r/{PLAIN} HTTP/1.1\r\nHost: localhost\r\nBad Name: {PLAIN}",
        f"GET /r/{PLAIN} HTTP/7.9\r\nHost: localhost",
        f"GE\x01T /r/{PLAIN} HTTP/1.1\r\nHost: localhost",
    ):
        send(site, line)
    if site.serves_wsgi:
        # The worker waits for the rest; gunicorn ends it, and says for what it waited.
        half = (
            f"POST {own}/code/{PLAIN}/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9"
        )
        send(site, half)
        assert "WORKER TIMEOUT" in site.output()


def send(site: Site, lines: str) -> None:
    """Send this and wait for the answer, or the end."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as client:
        client.sendall(f"{lines}\r\n\r\n".encode())
        client.recv(1000)


def break_database(site: Site, question: int) -> None:
    """Let what asks for a receipt or a code fail: with one line on SQLite, with tracebacks on PostgreSQL."""
    with site.database() as run:
        run("ALTER TABLE polls_ballot RENAME TO gone")
        run("ALTER TABLE polls_invitation RENAME TO gone_too")
    voter = Voter(site.base)
    for path in (f"/r/{PLAIN}/", f"/polls/{question}/code/{PLAIN}/"):
        assert voter.get(path).status in {500, 503}


@pytest.mark.parametrize(
    "command, written",
    [
        (
            "gunicorn polls.wsgi --timeout 2 --access-logfile - --log-level debug",
            "json",
        ),
        (
            "gunicorn polls.asgi -k uvicorn_worker.UvicornWorker --access-logfile -",
            "text",
        ),
        ("gunicorn polls.asgi -k asgi --access-logfile -", "text"),
        ("uvicorn polls.asgi:application", "json"),
    ],
)
def test_the_output_of_a_server_has_no_code_and_no_address(start, command, written):
    site = start(command, WEB_CONCURRENCY="1", LOG_FORMAT=written).ready()
    question = site.ask(voters="codes", receipts=True)
    ask_everything(site, question)
    break_database(site, question)
    output = site.output()
    assert "Answered 503" in output or "Traceback" in output
    assert "/r/-" in output and "/code/-" in output
    assert not [line for line in output.splitlines() if GROUPS.search(line)]
    assert "x=1" not in output and "next=" not in output
    # But for the server's own.
    client = re.compile(rf"(?<![/'])127\.0\.0\.1(?!:{site.port})")
    assert not [line for line in output.splitlines() if client.search(line)]
    if written == "json":
        events = [json.loads(line) for line in output.splitlines()]
        assert any("/r/-" in event["message"] for event in events)
        assert any(event.get("request") for event in events)
        # What a server says before it hands the request on is about none.
        before = re.compile("(GET|POST) /|Started|Application startup|Booting")
        said = [event for event in events if before.match(event["message"])]
        assert said and not [event for event in said if "request" in event]


def test_a_server_says_where_it_listens(caplog):
    where = "running on %s://%s:%d"
    logging.getLogger("uvicorn").warning(where, "http", "127.0.0.1", 8000)
    assert "running on http://127.0.0.1:8000" in caplog.text


def refuse_every_query(execute, sql, params, many, context):
    raise OperationalError("the database is away\nDETAIL: of row 7")


def test_many_503s_of_one_reason_are_one_line(client, db, log):
    client.raise_request_exception = False
    with connection.execute_wrapper(refuse_every_query):
        for n in range(20):
            assert client.get(f"/polls/{n}/").status_code == 503
    (line,) = log.getvalue().splitlines()
    assert line.endswith("Answered 503: the database is away")


def test_a_fault_of_ours_keeps_its_traceback(client, question, monkeypatch, log):
    monkeypatch.setattr(results, "rows_of", lambda *words: 1 / 0)
    client.raise_request_exception = False
    for _ in range(2):
        client.get(f"/polls/{question.pk}/results/")
    assert log.getvalue().count("ZeroDivisionError") == 2


def test_the_same_warning_is_written_once_in_a_while():
    moment, written = 1000.0, []
    throttle = RepeatedLines(clock=lambda: moment)

    def warn(text: str, level: int = logging.WARNING) -> None:
        record = logging.LogRecord("polls", level, "x.py", 1, "%s", (text,), None)
        if throttle.filter(record):
            written.append(record.getMessage())

    for _ in range(5):
        warn("away")
        warn("full")
    moment += QUIET
    warn("away")
    assert written == ["away", "full", "away (4 more since the last line)"]
    warn("asked", logging.INFO)
    warn("asked", logging.INFO)
    assert written[3:] == ["asked", "asked"]

"""A body that did not come whole, and one that does not say how long it is."""

from io import BytesIO

import pytest
from django.test import Client

from polls.kinds import Kind
from polls.models import Choice

CUT = "The request was cut off on its way"
NO_LENGTH = "This server takes no form without its length"
FORM = "application/x-www-form-urlencoded"


def post(path, sent, length):
    """Post what came of a body of this length, as a WSGI server hands it on."""
    return post_stream(path, BytesIO(sent), length)


def post_stream(path, stream, length, kind=FORM):
    return Client().generic(
        "POST",
        path,
        CONTENT_TYPE=kind,
        CONTENT_LENGTH=length,
        **{"wsgi.input": stream},
    )


def test_a_vote_that_was_cut_off_is_not_counted(question):
    """The number that is left is another choice of the poll."""
    pk = question.choice_set.first().pk
    Choice.objects.create(pk=pk * 100 + 1, question=question, choice_text="Green")
    body = f"choice={pk * 100 + 1}".encode()
    page = post(f"/polls/{question.pk}/vote/", body[:-2], len(body))
    assert (page.status_code, question.ballot_set.count()) == (400, 0)
    assert CUT in page.text and "Nothing of it was counted or saved" in page.text
    assert post(f"/polls/{question.pk}/vote/", body, len(body)).status_code == 302


def test_a_ranking_that_was_cut_off_is_not_counted(ask):
    lunch = ask("Lunch?", "Soup", "Rice", "Cake", kind=Kind.RANKED)
    soup, rice, _ = lunch.choice_set.values_list("pk", flat=True)
    body = f"rank1={soup}&rank2={rice}".encode()
    sent = body[: body.index(b"&")]
    page = post(f"/polls/{lunch.pk}/vote/", sent, len(body))
    assert (page.status_code, lunch.ballot_set.count()) == (400, 0)


@pytest.mark.parametrize(
    "path",
    [
        "/polls/1/vote/",
        "/polls/1/withdraw/",
        "/polls/1/code/",
        "/accounts/login/",
        "/accounts/logout/",
        "/admin/login/",
        "/admin/polls/question/add/",
        "/nowhere/",
    ],
)
def test_no_form_takes_a_body_that_was_cut_off(db, path):
    page = post(path, b"x" * 100, 101)
    assert page.status_code == 400
    assert CUT in page.text and "To the polls" in page.text


@pytest.mark.parametrize("length", ["1e2", "-5", "100, 100"])
def test_a_length_that_is_none_is_refused(db, length):
    assert post("/accounts/login/", b"x" * 100, length).status_code == 400


def test_a_body_too_large_is_refused_before_it_is_read(db):
    class Unread(BytesIO):
        def read(self, size=-1):
            raise AssertionError("was read")

    kind = "multipart/form-data; boundary=x"
    page = post_stream("/accounts/login/", Unread(), 3_000_000, kind)
    assert page.status_code == 413
    assert "more than this site takes" in page.text and "To the polls" in page.text


def test_a_connection_that_breaks_in_the_middle_is_no_vote(question):
    class Broken(BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError

    page = post_stream(f"/polls/{question.pk}/vote/", Broken(), 10)
    assert page.status_code == 400


@pytest.fixture
def door(monkeypatch):
    """Return what WSGI servers call; the database is ready."""
    monkeypatch.setenv("POLLS_PREPARED", "1")
    from polls.wsgi import application

    return application


def post_chunked(door, path, body, ends_by_itself=True):
    """Post a body in chunks at the door for WSGI servers, as gunicorn or another hands it on."""
    environ = Client()._base_environ(
        REQUEST_METHOD="POST",
        PATH_INFO=path,
        CONTENT_TYPE=FORM,
        HTTP_TRANSFER_ENCODING="chunked",
    )
    environ |= {"wsgi.input": BytesIO(body)}
    if ends_by_itself:
        environ["wsgi.input_terminated"] = True
    answers = []
    start_response = lambda status, headers: answers.append(status)
    text = b"".join(door(environ, start_response)).decode()
    return answers[0], text


def test_a_body_in_chunks_is_read_where_it_ends_by_itself(db, door):
    status, text = post_chunked(door, "/accounts/login/", b"username=eve")
    assert (status, "security token" in text) == ("403 Forbidden", True)
    kind = b"csrfmiddlewaretoken=x"
    status, text = post_chunked(door, "/accounts/login/", kind * 100_000)
    assert status == "413 Request Entity Too Large"


def test_a_body_in_chunks_is_told_so_where_nobody_knows_its_end(db, door):
    status, text = post_chunked(door, "/accounts/login/", b"x", ends_by_itself=False)
    assert status == "411 Length Required"
    assert NO_LENGTH in text and "security token" not in text

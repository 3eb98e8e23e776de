import errno
import html
import os
import re

import pytest
from django.db import OperationalError, connection
from django.test import Client

from polls.promises import Voters
from polls.views import results


def refuse_every_query(execute, sql, params, many, context):
    raise OperationalError("the database is away")


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch", "options"])
@pytest.mark.parametrize(
    "path", ["", "1/", "1/results/", "1/results.json", "1/results.csv"]
)
def test_it_rejects_the_wrong_method_with_a_page(db, path, method):
    page = getattr(Client(enforce_csrf_checks=True), method)(f"/polls/{path}")
    assert page.status_code == 405
    assert page.headers["Allow"] == "GET, HEAD"
    assert "does not take that kind of request" in page.text


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_it_rejects_all_but_posting_to_the_vote_address(question, method):
    strict = Client(enforce_csrf_checks=True)
    page = getattr(strict, method)(f"/polls/{question.pk}/vote/")
    assert (page.status_code, page.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/healthz"])
def test_it_rejects_posting_elsewhere(db, path):
    page = Client(enforce_csrf_checks=True).post(path)
    assert (page.status_code, page.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain"])
@pytest.mark.parametrize("charset", ["utf-16", "latin-1", "utf-8-sig"])
def test_it_rejects_another_encoding(client, question, kind, charset):
    kind = f"{kind}; charset={charset}"
    for method, path in (
        ("GET", "/polls/?page=1"),
        ("POST", f"/polls/{question.pk}/vote/"),
    ):
        assert client.generic(method, path, b"x", kind).status_code == 400


@pytest.mark.postgresql
def test_a_session_cookie_that_no_database_can_hold_is_a_bad_request(client, db):
    client.raise_request_exception = False
    client.cookies["sessionid"] = "\x00" + "a" * 32
    assert client.get("/admin/").status_code == 400


def test_head_is_get_without_a_body(client, question):
    for path in (
        "/polls/",
        f"/polls/{question.pk}/",
        f"/polls/{question.pk}/results.json",
    ):
        page = client.head(path)
        assert (page.status_code, page.content) == (200, b"")


def test_not_found_is_a_page_with_a_way_back(client, db):
    page = client.get("/nowhere/")
    assert page.status_code == 404
    assert links(page) == {"To the polls": "/polls/"}


def links(page):
    """Return what the main part of a page leads to, by its words."""
    main = page.text[page.text.index("<main") : page.text.index("</main")]
    return {
        words: html.unescape(address)
        for address, words in re.findall(r'<a [^>]*href="([^"]*)">([^<]+)</a>', main)
    }


def test_not_allowed_leads_to_the_log_in_and_back(client, ask):
    question = ask("Hidden?", "Red", results="organisers")
    page = client.get(f"/polls/{question.pk}/results.csv")
    assert page.status_code == 403
    assert links(page) == {
        "Log in": f"/accounts/login/?next=/polls/{question.pk}/results.csv",
        "To the polls": "/polls/",
    }


def test_what_may_pass_can_be_tried_again(client, question):
    path = f"/polls/{question.pk}/results/?a=1&b=2"
    with connection.execute_wrapper(refuse_every_query):
        page = client_without_raising(client).get(path)
    assert page.status_code == 503
    assert links(page) == {"Try again": path, "To the polls": "/polls/"}
    assert '<a class="button wide quiet" href="/polls/">' in page.text


def test_a_form_is_not_sent_again_by_a_link(client, db):
    page = client.post("/polls/")
    assert links(page) == {"To the polls": "/polls/"}


ODD = [
    "%00",
    "%0A",
    "A%0D%0AB",
    "%FF",
    "%ED%A0%80",
    "%F4%90%80%80",
    "%C0%AF",
    "%",
    "%ZZ",
    "%2500",
]
ODD += [
    "%E2%80%A8",
    "%C2%85",
    "%2F",
    "%2F..%2F",
    "%3Cscript%3E",
    "%26code%3D",
    "9" * 5000,
    "%D9%A3",
    "-0",
    "1e3",
]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_whatever_is_typed_gives_a_page(client, ask, text):
    client.raise_request_exception = False
    question = ask("Which colour?", "Red", "Blue", voters=Voters.CODES)
    own = f"/polls/{question.pk}"
    paths = [
        f"/polls/?page={text}",
        f"/r/?code={text}",
        f"/r/{text}/",
        f"{own}/code/{text}/",
    ]
    paths += [
        f"/polls/{text}/",
        f"/{text}",
        f"/accounts/login/?next={text}",
        f"{own}/?{text}={text}",
    ]
    for path in paths:
        page = client.get(path, follow=True)
        assert page.status_code in {200, 400, 404}, path
        assert "<main" in page.text, path
    form = "application/x-www-form-urlencoded"
    page = client.post(f"{own}/code/", f"code={text}", form)
    assert page.status_code in {200, 400}


def test_not_found_on_json_is_json(client, db):
    answer = client.get("/polls/999/results.json")
    assert answer.status_code == 404
    assert answer.json()["status"] == 404
    assert set(answer.json()) == {"error", "status"}


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "a b", "[::"]
)
def test_it_rejects_a_host_that_is_not_ours(client, db, host):
    page = client.get("/polls/", headers={"host": host})
    assert page.status_code == 400
    assert "Bad request" in page.text
    assert "evil" not in page.text


def test_a_database_that_is_away_is_503_with_retry_after(client, question):
    with connection.execute_wrapper(refuse_every_query):
        for path in ("/polls/", f"/polls/{question.pk}/", "/healthz"):
            page = client_without_raising(client).get(path)
            assert page.status_code == 503
            assert page.headers["Retry-After"] == "5"
            assert "a vote that is sent twice counts once" in page.text


def test_a_vote_that_meets_no_database_can_be_sent_again(client, question):
    """It stands there as it was sent, whatever that was."""
    odd = '"><b>&\u202e'
    sent = {"choice": ["1", odd], "rank1": "2", "wording": "abc"}
    path = f"/polls/{question.pk}/vote/"
    client.get(f"/polls/{question.pk}/")
    with connection.execute_wrapper(refuse_every_query):
        page = client_without_raising(client).post(path, sent)
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    # A connection that breaks may have brought the vote there.
    assert "Your vote may not have been counted" in page.text
    assert "counts once" in page.text and "<b>&" not in page.text
    form = page.text.split("<main")[1].split("</main>")[0]
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form)
    token, *fields = [(name, html.unescape(value)) for name, value in fields]
    assert token[0] == "csrfmiddlewaretoken" and len(token[1]) == 64
    assert fields == [
        ("choice", "1"),
        ("choice", odd),
        ("rank1", "2"),
        ("wording", "abc"),
    ]
    assert f'<form action="{path}" method="post">' in form


def test_a_fault_of_ours_is_a_page(client, question, monkeypatch):
    monkeypatch.setattr(results, "rows_of", lambda *words: 1 / 0)
    page = client_without_raising(client).get(f"/polls/{question.pk}/results/")
    assert page.status_code == 500
    assert "Something broke on our side" in page.text
    assert "ZeroDivisionError" not in page.text


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOSPC])
def test_a_system_that_is_short_of_something_is_503(
    client, question, monkeypatch, number
):
    def fail(*words):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(results, "rows_of", fail)
    page = client_without_raising(client).get(f"/polls/{question.pk}/results/")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")


def client_without_raising(client):
    client.raise_request_exception = False
    return client


def test_healthz_says_ok(client, db):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


@pytest.mark.parametrize(
    "path", ["/polls/", "/nowhere/", "/admin/login/", "/polls/1/vote/"]
)
def test_every_page_has_a_strict_security_policy(client, db, path):
    policy = client.get(path).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_no_page_has_inline_script_or_style(client, question):
    for path in (
        "/polls/",
        f"/polls/{question.pk}/",
        f"/polls/{question.pk}/results/",
        "/x/",
    ):
        page = client.get(path).text
        assert "style=" not in page and "<style" not in page
        assert "<script>" not in page and "onclick" not in page


def test_an_error_page_that_cannot_be_made_is_plain_text(db, settings, tmp_path):
    (tmp_path / "polls").mkdir()
    (tmp_path / "polls/error.html").write_text("{% if half %}")
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [tmp_path]}]
    page = Client().get("/nowhere/")
    assert (page.status_code, page.headers["Content-Type"]) == (
        404,
        "text/plain; charset=utf-8",
    )
    assert "There is no poll or page at this address, or" in page.text

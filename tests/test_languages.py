"""The language of an answer: by the visitor's choice, or the browser's wish; and never that of another visitor."""

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation
from django.utils.html import conditional_escape
from django.utils.translation import gettext

from polls.models import Question
from polls.serving import spectator_cache
from polls.serving.languages import NAMES
from polls.views import results
from tests.support.visits import Visit, send, vote

CODES = list(NAMES)


def asking_for(header: str, **cookies: str) -> Client:
    client = Client(headers={"Accept-Language": header})
    for name, value in cookies.items():
        client.cookies[name] = value
    return client


@pytest.mark.parametrize(
    "header, code",
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("sv,pt-BR;q=0.5,en;q=0.3", "pt"),
        ("zh-CN", "zh-hans"),
        ("zh-TW", "zh-hans"),
        ("ar-EG", "ar"),
        ("en;q=0.1,hi;q=0.9", "hi"),
        ("sv", "en"),
        ("*", "en"),
        ("de;q=x,,;;", "en"),
        ("x" * 9000, "en"),
    ],
)
def test_the_browser_asks_for_a_language(db, header, code):
    page = asking_for(header).get("/polls/")
    assert page.headers["Content-Language"] == code
    assert {"Accept-Language", "Cookie"} <= set(page.headers["Vary"].split(", "))


def test_the_choice_of_the_visitor_goes_first(db):
    page = asking_for("de", language="ar").get("/polls/")
    assert '<html lang="ar" dir="rtl">' in page.text
    assert asking_for("de", language="nonsense").get("/polls/").text.count('lang="de"')


@pytest.mark.parametrize("code", CODES)
def test_it_is_chosen_without_a_script(client, db, code):
    answer = client.post("/language/", {"language": code, "next": "/polls/"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/polls/")
    assert client.get("/polls/").headers["Content-Language"] == code
    assert f'lang="{code}"' in client.get("/nowhere/").text.split("<head>")[0]


def test_it_rejects_a_language_that_there_is_not(client, db):
    answer = client.post("/language/", {"language": "xx", "next": "/polls/"})
    assert answer.status_code == 302 and not answer.cookies
    assert client.get("/language/").status_code == 405


@pytest.mark.parametrize(
    "referer, following, back",
    [
        ("http://testserver/polls/?page=2", "/polls/", "http://testserver/polls/?page=2"),
        ("", "/r/", "/r/"),
        ("http://testserver/polls/1/vote/", "", "http://testserver/polls/1/"),
        ("", "/polls/1/withdraw/", "/polls/1/"),
        ("https://evil.example/", "/r/", "/r/"),
        ("", "//evil.example/", "/polls/"),
        ("", "javascript:alert(1)", "/polls/"),
        ("", "https://evil.example/", "/polls/"),
        ("", "", "/polls/"),
        ("", "login", "login"),
        ("", "nowhere", "nowhere"),
    ],
)  # fmt: skip
def test_it_leads_back_to_the_page(client, db, referer, following, back):
    chosen = {"language": "de", "next": following}
    headers = {"Referer": referer} if referer else {}
    answer = client.post("/language/", chosen, headers=headers)
    assert answer.headers["Location"] == back


def test_pages_in_memory_are_of_one_language_each(
    keeping, question, monkeypatch, django_assert_num_queries
):
    # Also on a slow machine all are there until they have been compared.
    monkeypatch.setattr(spectator_cache, "pages", spectator_cache.Cache(ttl=60))
    path = f"/polls/{question.pk}/results/"
    pages = {code: asking_for(code).get(path) for code in CODES}
    with django_assert_num_queries(0):
        for code in CODES:
            for visitor in (asking_for(code), asking_for("", language=code)):
                again = visitor.get(path)
                assert again.text == pages[code].text
                assert again.headers["Content-Language"] == code
                assert f'<html lang="{code}"' in again.text


def test_any_other_cookie_is_answered_from_the_database(
    keeping, question, django_assert_max_num_queries
):
    path = f"/polls/{question.pk}/results.json"
    asking_for("de").get(path)
    for cookies in ({"language": "xx"}, {"language": "de", "x": "1"}):
        with django_assert_max_num_queries(9) as queries:
            asking_for("de", **cookies).get(path)
        assert len(queries)


def test_no_language_is_left_to_the_next_request(client, db):
    with translation.override(None):
        asking_for("ar").get("/polls/")
        assert translation.get_language() == settings.LANGUAGE_CODE


@pytest.mark.parametrize("code", CODES)
def test_a_static_file_that_is_not_there_is_missed_in_the_language(client, db, code):
    page = asking_for(code).get("/static/polls/nowhere.css")
    assert page.status_code == 404 and f'<html lang="{code}"' in page.text
    assert page.headers["Content-Language"] == code
    assert "Accept-Language" in page.headers["Vary"]


def test_a_file_of_ballots_leaves_no_language_to_the_next_request(question):
    question.close()
    file = asking_for("ar").get(f"/polls/{question.pk}/ballots.csv")
    assert file.streaming and list(file)
    missing = asking_for("de").get("/static/polls/nowhere.css")
    assert '<html lang="de"' in missing.text


def test_what_is_answered_on_the_loop_has_its_own_language(red, handler):
    known = "0" * 32
    visits = []
    for code in ("ar", "", "de"):
        visit = vote(red, known, form="&choice=0")
        visit.headers |= {"accept-language": code}
        visits.append(visit)
    send(handler, *visits)
    for code, visit in zip(("ar", "en", "de"), visits):
        assert f'<html lang="{code}"' in visit.text
    assert translation.get_language() == settings.LANGUAGE_CODE


def test_the_handler_answers_from_memory_in_the_chosen_language(
    keeping, question, handler
):
    path = f"/polls/{question.pk}/results.json"
    asking_for("de").get(path, HTTP_HOST="localhost")
    for header in ({"cookie": "language=de"}, {"accept-language": "de"}):
        visit = Visit(path, headers=header)
        # A thread of the handler would not see what the test's transaction holds.
        assert send(handler, visit) == [200]


@pytest.mark.parametrize("path", ["/static/polls/style.css", "/"])
def test_what_has_no_words_has_no_language(client, db, path):
    answer = client.get(path)
    answer.close()
    assert "Content-Language" not in answer.headers


PAGES = {
    "/polls/": 200,
    "/polls/{}/": 200,
    "/polls/{}/results/": 200,
    "/polls/{}/share/": 200,
    "/polls/{}/embed/": 200,
    "/r/": 200,
    "/r/ABCD/": 404,
    "/accounts/login/": 200,
    "/polls/{}/vote/": 405,
    "/nowhere/": 404,
    "/admin/login/": 200,
}


@pytest.mark.parametrize("code", CODES)
def test_every_page_says_its_language(question, code):
    Question.objects.update(may_embed=True)
    visitor = asking_for(code)
    for path, status in PAGES.items():
        page = visitor.get(path.format(question.pk))
        assert page.status_code == status, path
        assert page.headers["Content-Language"] == code
        start = page.text.partition("<head>")[0]
        assert f'<html lang="{code}"' in start
        assert ('dir="rtl"' in start) == (code == "ar")


def test_a_page_that_broke_is_in_the_language_too(question, monkeypatch):
    visitor = asking_for("ar")
    visitor.raise_request_exception = False
    monkeypatch.setattr(results, "rows_of", lambda *words: 1 / 0)
    page = visitor.get(f"/polls/{question.pk}/results/")
    assert page.status_code == 500 and '<html lang="ar" dir="rtl">' in page.text


@pytest.mark.parametrize("kind", ["one", "ranked"])
def test_the_texts_of_a_poll_are_marked_with_its_language(client, ask, kind):
    question = ask("أين؟", "هنا", "هناك", kind=kind, language="ar", may_embed=True)
    marked = 'lang="ar" dir="rtl"'
    for name in ("", "results/", "share/", "embed/"):
        page = client.get(f"/polls/{question.pk}/{name}").text
        heading = page.partition("<h1")[2].partition("</h1>")[0]
        assert marked in heading, name
        assert page.count(marked) >= 2, name
    assert marked in client.get("/polls/").text
    question.language = ""
    question.save()
    assert marked not in client.get(f"/polls/{question.pk}/").text


def refusal_in(code: str) -> str:
    with translation.override(code):
        return conditional_escape(gettext("You didn't select a choice."))


@pytest.mark.parametrize("code", CODES)
def test_a_refused_vote_is_answered_in_the_language(question, code):
    visitor = asking_for(code)
    page = visitor.post(f"/polls/{question.pk}/vote/")
    assert refusal_in(code) in page.text
    assert code == "en" or refusal_in(code) != refusal_in("en")


@pytest.mark.django_db(transaction=True)
def test_votes_that_are_refused_under_asgi_are_answered_each_in_its_language(
    red, handler
):
    visits = {code: vote(red) for code in CODES}
    for code, visit in visits.items():
        visit.headers["accept-language"] = code
        visit.body = [visit.body[0].replace(b"&choice=", b"&x=")]
        visit.headers["content-length"] = str(len(visit.body[0]))
    send(handler, *visits.values())
    for code, visit in visits.items():
        assert refusal_in(code) in visit.text, code

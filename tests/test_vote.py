from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client

from polls.models import Ballot, Choice, Question


@pytest.fixture
def red(question) -> Choice:
    return question.choice_set.get(choice_text="Red")


def votes() -> int:
    return sum(Choice.objects.values_list("votes", flat=True))


def test_it_works(client, question, red):
    client.get(f"/polls/{question.pk}/")
    response = client.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    assert response.status_code == 302
    assert response.headers["Location"] == f"/polls/{question.pk}/results/"
    assert votes() == Ballot.objects.count() == 1


def test_a_second_vote_is_a_change(client, question, red):
    client.get(f"/polls/{question.pk}/")
    for choice in question.choice_set.all():
        client.post(f"/polls/{question.pk}/vote/", {"choice": choice.pk})
    assert votes() == Ballot.objects.count() == 1
    assert Choice.objects.get(votes=1).choice_text == "Blue"


def test_a_vote_without_a_cookie_is_a_new_voter_who_is_remembered(
    client, question, red
):
    client.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    client.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    assert votes() == Ballot.objects.count() == 1


@pytest.mark.parametrize("cookie", ["", "x", "forged:signature", "ü:é", "a" * 3000])
def test_it_takes_a_forged_cookie_for_a_new_voter(client, question, red, cookie):
    client.cookies["voter"] = cookie
    assert client.get(f"/polls/{question.pk}/").status_code == 200
    client.cookies["voter"] = cookie
    response = client.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    assert response.status_code == 302
    assert response.cookies["voter"].value != cookie
    assert votes() == 1


def test_it_says_when_no_choice_was_selected(client, question):
    page = client.post(f"/polls/{question.pk}/vote/")
    assert "You didn&#x27;t select a choice." in page.text
    assert page.context["error_message"] == "You didn't select a choice."
    assert votes() == 0


GARBAGE = ["x", "0", "-1", "1.5", "9" * 400, "\x00", "1\x00", "\ud800", "٣", " ", "1e3"]


@pytest.mark.parametrize("kind", ["multipart", "urlencoded"])
@pytest.mark.parametrize("choice", GARBAGE, ids=ascii)
def test_it_rejects_garbage_with_one_sentence(client, question, choice, kind):
    body = {"choice": choice.encode("utf-8", "surrogatepass")}
    path = f"/polls/{question.pk}/vote/"
    if kind == "multipart":
        page = client.post(path, body)
    else:
        page = client.post(path, urlencode(body), "application/x-www-form-urlencoded")
    assert "select one of the choices below." in page.context["error_message"]
    assert "You didn't select a choice." in page.context["error_message"]
    assert page.text.count('role="alert"') == 1
    assert Ballot.objects.count() == votes() == 0


def test_it_rejects_a_choice_of_another_question(client, question, ask):
    other = ask("Which number?", "One").choice_set.get()
    page = client.post(f"/polls/{question.pk}/vote/", {"choice": other.pk})
    assert "The choices may have changed: select one" in page.text
    assert votes() == 0


def test_it_rejects_two_choices(client, question):
    both = [choice.pk for choice in question.choice_set.all()]
    page = client.post(f"/polls/{question.pk}/vote/", {"choice": both})
    assert "Select only one choice." in page.text
    assert votes() == 0


def test_it_says_that_the_poll_closed(client, question, red):
    client.get(f"/polls/{question.pk}/")
    question.close()
    page = client.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    assert "This poll closed on" in page.text
    assert "Your vote was not counted." in page.text
    assert votes() == 0


def test_it_rejects_a_scheduled_and_a_deleted_question(client, ask, question, red):
    later = ask("Later?", "Yes", opens=1)
    for question in (later.pk, 999):
        path = f"/polls/{question}/vote/"
        assert client.post(path, {"choice": red.pk}).status_code == 404
    assert votes() == 0


def test_it_shows_the_form_again_when_the_choice_is_gone(client, question, red):
    client.get(f"/polls/{question.pk}/")
    question.choice_set.filter(pk=red.pk).delete()
    page = client.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    assert "You didn&#x27;t select a choice." in page.text
    assert "select one of the choices below." in page.text
    assert "Blue" in page.text


def test_it_requires_the_security_token(question, red):
    strict = Client(enforce_csrf_checks=True)
    page = strict.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    assert page.status_code == 403
    assert "Your vote was not counted" in page.text
    assert votes() == 0


@pytest.mark.parametrize(
    "body, kind, status",
    [
        (b"choice=\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"choice=1", "application/x-www-form-urlencoded; charset=utf-16", 400),
        (b"broken", "multipart/form-data", 400),
        (b"broken", "multipart/form-data; boundary=\xff", 400),
        (b"&".join([b"a=1"] * 5000), "application/x-www-form-urlencoded", 400),
        (b"choice=" + b"1" * 8_000_000, "application/x-www-form-urlencoded", 413),
        (
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
            + b"1" * 8_000_000
            + b"\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
            413,
        ),
    ],
    ids=["latin-1", "utf-16", "no boundary", "bad boundary", "fields", "8 MB", "file"],
)
def test_it_rejects_a_broken_or_huge_body(client, question, body, kind, status):
    page = client.generic(
        "POST", f"/polls/{question.pk}/vote/", body, content_type=kind
    )
    assert page.status_code == status
    assert {400: "Bad request", 413: "Too large"}[status] in page.text
    assert votes() == 0


def test_it_takes_a_fixed_number_of_queries(
    client, question, red, django_assert_num_queries
):
    client.get(f"/polls/{question.pk}/")
    # Beside the statements that write the ballot, which Django does not see.
    queries = {"sqlite": 4, "postgresql": 2}[connection.vendor]
    with django_assert_num_queries(queries):
        client.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    assert Question.objects.count() == 1


def test_it_refuses_a_vote_for_words_that_its_voter_did_not_read(client, question, red):
    page = client.get(f"/polls/{question.pk}/").text
    wording = page.split('name="wording" value="')[1].split('"')[0]
    question.choice_set.filter(pk=red.pk).update(choice_text="Green")
    vote = {"choice": red.pk, "wording": wording}
    page = client.post(f"/polls/{question.pk}/vote/", vote)
    assert "The poll has just changed. Read it again, then vote." in page.text
    assert "Green" in page.text and votes() == 0

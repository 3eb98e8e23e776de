import re

import pytest

from polls.models import Question


def test_it_works(client, question):
    page = client.get(f"/polls/{question.pk}/")
    assert page.context["question"] == question
    assert "<legend><h1>Which colour?</h1></legend>" in page.text
    assert page.text.count('type="radio"') == 2


def test_it_gives_the_browser_a_voter_cookie_out_of_reach_of_scripts(client, question):
    cookie = client.get(f"/polls/{question.pk}/").cookies["voter"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"


def test_it_keeps_a_known_voter(client, question):
    client.get(f"/polls/{question.pk}/")
    assert "voter" not in client.get(f"/polls/{question.pk}/").cookies


def test_it_rejects_a_scheduled_question(client, ask):
    question = ask("Secret?", opens=1)
    page = client.get(f"/polls/{question.pk}/")
    assert page.status_code == 404
    assert "Secret?" not in page.text


def test_it_offers_no_form_after_the_close(client, ask):
    question = ask("Over?", "Yes", opens=-2, closes=-1)
    page = client.get(f"/polls/{question.pk}/")
    assert "This poll closed at" in page.text
    assert "<form" not in page.text.split("<footer")[0]
    assert "voter" not in page.cookies


def test_it_shows_the_choice_made(client, question):
    red = question.choice_set.first()
    client.get(f"/polls/{question.pk}/")
    client.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    page = client.get(f"/polls/{question.pk}/").text
    assert f'value="{red.pk}" checked' in page
    assert "Change your vote" in page


def test_it_handles_a_question_without_choices(client, ask):
    question = ask("Anything?")
    assert "no choices yet" in client.get(f"/polls/{question.pk}/").text
    Question.objects.update(kind="ranked")
    page = client.get(f"/polls/{question.pk}/").text
    assert "no choices yet" in page and "rank.js" not in page


@pytest.mark.parametrize(
    "pk", ["0", "999", "-1", "9" * 40, "9" * 5000, "٣", "1.0", "x"]
)
def test_it_rejects_ids_that_are_none(client, question, pk):
    for path in ("", "results/", "results.json", "results.csv"):
        assert client.get(f"/polls/{pk}/{path}").status_code == 404


def test_it_shows_markup_as_text(client, ask):
    question = ask("<script>alert(1)</script>", "<b>bold</b>")
    for path in ("", "results/"):
        page = client.get(f"/polls/{question.pk}/{path}").text
        assert "<script>" not in page and "<b>" not in page
        assert "&lt;script&gt;" in page


@pytest.mark.parametrize("number", [2, 20])
def test_it_takes_two_queries_and_three_for_a_known_voter(
    client, ask, django_assert_num_queries, number
):
    question = ask("Many?", *map(str, range(number)))
    with django_assert_num_queries(2):
        client.get(f"/polls/{question.pk}/")
    with django_assert_num_queries(3):
        client.get(f"/polls/{question.pk}/")
    assert Question.objects.count() == 1


def test_its_times_are_valid_in_html(client, ask):
    """Django's own "c" has microseconds, which HTML does not take."""
    question = ask("When?", "Now", closes=1)
    assert question.closes_at.microsecond
    for name in ("", "results/"):
        page = client.get(f"/polls/{question.pk}/{name}").text
        times = re.findall(r'datetime="([^"]*)"', page)
        assert times and all(
            re.fullmatch(r"[\d-]{10}T[\d:]{8}\+0000", time) for time in times
        )

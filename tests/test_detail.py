import itertools
import re

import pytest
from django.test import Client

from polls.models import Question
from tests.support.ballots import vote, voted


def test_it_works(client, question):
    page = client.get(f"/polls/{question.pk}/")
    assert page.context["question"] == question
    assert '<legend><h1 dir="auto">Which colour?</h1></legend>' in page.text
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
    assert "This poll closed on" in page.text
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
            re.fullmatch(r"[\d-]{10}T[\d:]{8}\+00:?00", time) for time in times
        )


@pytest.mark.parametrize(
    "hours, sentence",
    [
        (73, "Closes in 3 days"),
        (47.9, "Closes in 47 hours"),
        (1.99, "Closes in 1 hour"),
        (0.02, "Closes in 1 minute"),
        (0.01, "Closes in less than a minute"),
    ],
)
def test_it_says_how_long_the_poll_is_open(client, ask, hours, sentence):
    page = client.get(f"/polls/{ask('Soon?', 'Yes', closes=hours).pk}/").text
    assert f">{sentence}</time>" in page


def test_it_says_how_many_have_voted(client, question):
    page = client.get(f"/polls/{question.pk}/").text
    assert "Closes" not in page and "0 ballots" not in page
    voted(question, "1", "2")
    assert "2 ballots" in client.get(f"/polls/{question.pk}/").text


def test_it_says_in_one_line_what_is_kept_and_all_of_it_below(client, question):
    page = client.get(f"/polls/{question.pk}/").text
    summary = page.split("<summary>")[1].split("</summary>")[0]
    assert summary == "What this poll keeps about you: no name, no address"
    assert "<p>This poll keeps your choice, the time" in page


@pytest.mark.parametrize(
    "promises, counts",
    [
        ({"kind": "several"}, False),
        ({"kind": "several", "max_choices": 2}, True),
        ({"kind": "several", "min_choices": 2}, True),
        ({"kind": "several", "max_choices": 1}, False),
        ({"kind": "ranked", "max_choices": 2}, False),
        ({}, False),
    ],
)
def test_it_counts_what_is_chosen_where_there_is_a_limit(client, ask, promises, counts):
    question = ask("Which?", "Red", "Blue", "Green", **promises)
    page = client.get(f"/polls/{question.pk}/").text
    assert ("chosen</p>" in page) is ("ballot.js" in page) is counts


def test_a_mistake_leads_to_the_first_field(client, ask):
    for kind, field in (
        ("one", "choice1"),
        ("several", "choice1"),
        ("ranked", "rank1"),
    ):
        question = ask("Which?", "Red", "Blue", kind=kind)
        page = client.post(f"/polls/{question.pk}/vote/").text
        assert f'<a href="#{field}">You didn&#x27;t select a choice.</a>' in page
        assert f'id="{field}"' in page and 'aria-invalid="true"' in page
        assert "<title>Error: Which?</title>" in page


def test_withdrawing_asks_first(client, question):
    assert "/withdraw/" not in client.get(f"/polls/{question.pk}/").text
    vote(client, question)
    page = client.get(f"/polls/{question.pk}/").text
    before, _, asks = page.partition("<summary>Withdraw your vote</summary>")
    assert "/withdraw/" not in before and "<details>" in before
    assert "Withdraw this vote?" in asks and "No, keep it" in asks


def test_after_the_close_it_leads_to_the_results(client, ask):
    question = voted(ask("Which?", "Red", "Blue"), "1")
    question.close()
    page = client.get(f"/polls/{question.pk}/").text
    assert f'href="/polls/{question.pk}/results/">See the results</a>' in page
    Question.objects.update(results="organisers")
    page = client.get(f"/polls/{question.pk}/").text
    assert "See the results" not in page
    assert "Only the organisers see the results of this poll." in page


def test_after_the_close_it_says_who_has_won_if_that_may_be_seen(client, ask):
    question = voted(ask("Which?", "Red", "Blue", kind="ranked"), "1", "12", "2")
    question.close()
    assert "Elected: Red" in client.get(f"/polls/{question.pk}/").text
    Question.objects.update(results="organisers")
    assert "Elected" not in client.get(f"/polls/{question.pk}/").text


def og(page):
    return dict(re.findall(r'property="og:(\S+)" content="([^"]*)">', page))


def test_other_sites_are_told_what_a_link_to_it_leads_to(client, ask):
    question = ask("Red & Blue?", "Red", "Blue", results="organisers")
    shown = og(client.get(f"/polls/{question.pk}/").text)
    assert shown["title"] == "Red &amp; Blue?"
    assert shown["site_name"] == "Polls"
    assert shown["description"] == "Open for votes."
    assert shown["url"] == f"http://testserver/polls/{question.pk}/"
    assert re.fullmatch(r"http://testserver/static/\S*card\S*\.png", shown["image"])


def test_the_link_is_of_the_name_that_was_asked_for(ask, settings, keeping):
    settings.ALLOWED_HOSTS = ["a.example", "b.example"]
    pk = ask("Which?", "Red").pk
    for path, host in itertools.product(
        (f"/polls/{pk}/", f"/polls/{pk}/results/"), ("a.example", "b.example")
    ):
        assert og(Client(headers={"host": host}).get(path).text)["url"] == (
            f"http://{host}{path}"
        )

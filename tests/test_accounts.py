"""Polls for accounts: once an account, with the choice kept over the log-in."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from polls.models import Ballot, Mark, Question
from tests.support.ballots import vote


@pytest.fixture
def ann(db) -> User:
    return User.objects.create_user("ann", password="ann's own words")


@pytest.fixture
def bob(db) -> User:
    return User.objects.create_user("bob", password="bob's own words")


@pytest.fixture
def poll(ask) -> Question:
    return ask("Which colour?", "Red", "Blue", voters="accounts")


@pytest.fixture
def ranked(ask) -> Question:
    return ask(
        "In which order?", "Red", "Blue", "Green", kind="ranked", voters="accounts"
    )


def choice(poll, name="Red") -> int:
    return poll.choice_set.get(choice_text=name).pk


def log_in(client, user, to=""):
    fields = {"username": user.username, "password": f"{user.username}'s own words"}
    return client.post("/accounts/login/", fields | {"next": to}, follow=True)


def test_it_works(client, poll, ann):
    client.force_login(ann)
    assert vote(client, poll).status_code == 302
    assert Ballot.objects.count() == 1
    assert "Your vote is counted" in client.get(f"/polls/{poll.pk}/results/").text


def test_signed_out_the_vote_waits_for_the_log_in(client, poll, ann):
    answer = vote(client, poll, "Blue")
    assert answer.headers["Location"] == f"/accounts/login/?next=/polls/{poll.pk}/"
    assert "Blue" not in answer.headers["Location"]
    assert Ballot.objects.count() == Mark.objects.count() == 0
    assert "Log in" in client.get(answer.headers["Location"]).text
    page = log_in(client, ann, f"/polls/{poll.pk}/")
    assert page.redirect_chain == [(f"/polls/{poll.pk}/", 302)]
    assert f'value="{choice(poll, "Blue")}" checked' in page.text
    assert page.text.count(" checked") == 1
    # It is only kept: voting is another click.
    assert Ballot.objects.count() == 0
    assert vote(client, poll, "Blue").status_code == 302
    assert client.cookies["draft"].value == ""
    assert Ballot.objects.count() == 1


def test_a_ranking_waits_too_in_its_order(client, ranked, ann):
    green, red = choice(ranked, "Green"), choice(ranked, "Red")
    ranks = {"rank1": green, "rank2": red}
    assert client.post(f"/polls/{ranked.pk}/vote/", ranks).status_code == 302
    page = log_in(client, ann, f"/polls/{ranked.pk}/").text
    assert page.count(" selected>") == 2
    assert page.index(f'"{green}" selected') < page.index(f'"{red}" selected')


def test_several_wait_too(client, poll, ann):
    Question.objects.update(kind="several")
    both = [choice(poll), choice(poll, "Blue")]
    client.post(f"/polls/{poll.pk}/vote/", {"choice": both})
    assert log_in(client, ann, f"/polls/{poll.pk}/").text.count(" checked") == 2


def test_what_is_wrong_is_said_before_anybody_logs_in(client, poll):
    page = client.post(f"/polls/{poll.pk}/vote/")
    assert page.context["error_message"] == "You didn't select a choice."
    assert "draft" not in client.cookies


@pytest.mark.parametrize("draft", ["x", "-", "1-" * 900, "9" * 400, "é", "1;2", "-1"])
def test_a_forged_draft_chooses_nothing(client, poll, ranked, ann, draft):
    client.force_login(ann)
    for question in (poll, ranked):
        client.cookies["draft"] = draft
        page = client.get(f"/polls/{question.pk}/")
        assert page.status_code == 200


def test_a_kept_choice_is_shown_before_the_ballot_that_there_is(client, poll, ann):
    elsewhere = Client()
    elsewhere.force_login(ann)
    vote(elsewhere, poll, "Red")
    vote(client, poll, "Blue")
    page = log_in(client, ann, f"/polls/{poll.pk}/").text
    assert f'value="{choice(poll, "Blue")}" checked' in page
    assert "Your choice was kept. It is not counted yet" in page
    assert [c.choice_text for c in Ballot.objects.get().choices] == ["Red"]
    assert vote(client, poll, "Blue").status_code == 302
    assert [c.choice_text for c in Ballot.objects.get().choices] == ["Blue"]


def test_two_accounts_in_one_browser_are_two_voters(client, poll, ann, bob):
    for user in (ann, bob):
        log_in(client, user)
        assert "You have voted" not in client.get(f"/polls/{poll.pk}/").text
        vote(client, poll)
        client.post("/accounts/logout/")
    assert Ballot.objects.count() == 2


def test_one_account_in_two_browsers_is_one_voter(poll, ann):
    for name in ("Red", "Blue"):
        browser = Client()
        log_in(browser, ann)
        vote(browser, poll, name)
    assert Ballot.objects.count() == 1
    assert [c.votes for c in poll.choice_set.order_by("id")] == [0, 1]


def test_who_logs_out_leaves_nothing_to_the_next(client, poll, ann):
    log_in(client, ann)
    vote(client, poll)
    client.post("/accounts/logout/")
    assert "Your vote" not in client.get(f"/polls/{poll.pk}/results/").text
    answer = client.post(f"/polls/{poll.pk}/withdraw/")
    assert "/accounts/login/" in answer.headers["Location"]
    assert Ballot.objects.count() == 1


def test_a_browsers_cookie_is_no_account(client, poll):
    client.get(f"/polls/{poll.pk}/")
    assert "voter" not in client.cookies
    client.cookies["voter"] = "x"
    vote(client, poll)
    assert Ballot.objects.count() == 0


def test_an_account_that_was_switched_off_votes_no_more(client, poll, ann):
    log_in(client, ann)
    User.objects.update(is_active=False)
    assert "/accounts/login/" in vote(client, poll).headers["Location"]
    assert Ballot.objects.count() == 0


def test_the_account_is_nowhere_beside_the_ballot(client, poll, ann):
    log_in(client, ann)
    vote(client, poll)
    row = repr(Ballot.objects.values_list()[0])
    assert "ann" not in row and len(Ballot.objects.get().voter_key) == 32


ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "javascript:x",
]


@pytest.mark.parametrize("to", ELSEWHERE)
def test_the_log_in_leads_to_no_other_site(client, ann, to):
    fields = {"username": "ann", "password": "ann's own words", "next": to}
    for path in ("/accounts/login/", f"/accounts/login/?next={to}"):
        answer = client.post(path, fields)
        assert answer.headers["Location"] == "/polls/"


def test_a_wrong_password_is_one_sentence(client, ann):
    page = client.post("/accounts/login/", {"username": "ann", "password": "x"})
    assert page.text.count('role="alert"') == 1
    assert "do not match an account." in page.text

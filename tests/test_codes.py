"""Invitation codes: once a code, typed or from the link on paper."""

import re

import pytest
from django.test import Client
from django.utils import timezone

from polls.codes import spell
from polls.models import Ballot, Invitation, Question
from polls.serving import throttle
from polls.serving.throttle import WrongTries
from polls.voting.identity import make_codes
from tests.support.ballots import vote

UNKNOWN = "That is not a code of this poll. Check each character, and whether it was given for another poll."
VOID = "This code was made void. Ask the organiser for another one."


@pytest.fixture
def poll(ask) -> Question:
    return ask("Which colour?", "Red", "Blue", voters="codes")


@pytest.fixture
def code(poll) -> str:
    return make_codes(poll, 1)[0][1]


def claim(poll, typed, client=None, **more):
    client = client or Client()
    return client, client.post(f"/polls/{poll.pk}/code/", {"code": typed} | more)


def test_it_works(client, poll, code):
    """The link on paper, the ballot page, the vote."""
    page = client.get(f"/polls/{poll.pk}/code/{code}/", follow=True)
    assert page.redirect_chain == [(f"/polls/{poll.pk}/", 302)]
    assert page.text.count('type="radio"') == 2
    assert vote(client, poll).status_code == 302
    assert Ballot.objects.get().voter_key == Invitation.objects.get().voter_key


def test_without_a_code_there_is_no_ballot_to_fill_in(client, poll):
    page = client.get(f"/polls/{poll.pk}/").text
    assert "Invitation code" in page and 'type="radio"' not in page
    assert vote(client, poll).context["error_message"] == (
        "Your vote was not counted. Type your invitation code first."
    )
    assert Ballot.objects.count() == 0


def mistyped(code):
    spelled = spell(code)
    return [
        code.lower(),
        spelled,
        spelled.lower().replace("-", " "),
        f"  {code}\t",
        code.replace("0", "O").replace("1", "I"),
        code.replace("0", "o").replace("1", "l"),
    ]


def test_it_forgives_what_people_mistype(poll, monkeypatch):
    monkeypatch.setattr("polls.voting.identity.code_of", lambda bits: "01AB01CD01EF")
    ((_, code),) = make_codes(poll, 1)
    for typed in mistyped(code):
        browser, answer = claim(poll, typed, has_voted="1")
        assert answer.status_code == 302, typed
        vote(browser, poll)
    assert Ballot.objects.count() == 1


@pytest.mark.parametrize("typed", ["", "x", "0" * 12, "U" * 12, "\x00", "é", "9" * 500])
def test_it_rejects_a_wrong_code_with_one_sentence(poll, code, typed):
    browser, page = claim(poll, typed)
    assert page.context["error_message"] == UNKNOWN
    assert page.text.count('role="alert"') == 1
    assert f"code{poll.pk}" not in browser.cookies
    vote(browser, poll)
    assert Ballot.objects.count() == 0


def test_it_rejects_a_code_of_another_poll(poll, code, ask):
    other = ask("Which number?", "One", voters="codes")
    for path in (f"/polls/{other.pk}/code/{code}/",):
        assert Client().get(path).context["error_message"] == UNKNOWN
    browser, _ = claim(poll, code)
    # Its cookie, moved by hand to the other poll, is no code there either.
    browser.cookies[f"code{other.pk}"] = browser.cookies[f"code{poll.pk}"].value
    vote(browser, other, "One")
    assert Ballot.objects.count() == 0


@pytest.fixture
def used(poll, code):
    """A code with which somebody has voted for Red."""
    voter, _ = claim(poll, code)
    vote(voter, poll)
    return code


@pytest.mark.parametrize("way", ["link", "typed"])
def test_a_used_code_asks_before_it_shows_its_ballot(poll, used, way):
    finder = Client()
    if way == "link":
        page = finder.get(f"/polls/{poll.pk}/code/{used}/")
    else:
        _, page = claim(poll, used, finder)
    assert "Somebody has voted with this code." in page.text
    assert "Red" not in page.text and f"code{poll.pk}" not in finder.cookies
    assert "Invitation code" in finder.get(f"/polls/{poll.pk}/").text


def test_whoever_says_that_a_used_code_is_theirs_sees_and_changes_its_ballot(
    poll, used
):
    second = Client()
    page = second.get(f"/polls/{poll.pk}/code/{used}/").text
    fields = dict(re.findall(r'name="(\w+)" value="(\w+)"', page.split("<main")[1]))
    answer = second.post(f"/polls/{poll.pk}/code/", fields)
    assert answer.headers["Location"] == f"/polls/{poll.pk}/"
    page = second.get(f"/polls/{poll.pk}/").text
    assert "You have voted." in page and page.count(" checked") == 1
    assert "whoever uses it has one vote together" in page
    vote(second, poll, "Blue")
    assert Ballot.objects.count() == 1
    assert [c.votes for c in poll.choice_set.order_by("id")] == [0, 1]


def test_after_the_close_a_used_code_asks_too(poll, used):
    poll.close()
    page = Client().get(f"/polls/{poll.pk}/code/{used}/").text
    assert "If it is yours, you may look at that vote" in page


def test_who_holds_a_used_code_is_not_asked(client, poll, code):
    claim(poll, code, client)
    vote(client, poll)
    assert client.get(f"/polls/{poll.pk}/code/{code}/").status_code == 302


def test_a_link_with_another_code_that_has_voted_asks_for_both(client, poll, used):
    ((_, own),) = make_codes(poll, 1)
    claim(poll, own, client)
    page = client.get(f"/polls/{poll.pk}/code/{used}/").text
    assert "This browser already has a code of this poll." in page
    assert "Somebody has voted with this code." in page


def test_a_wrong_code_is_said_beside_its_field(poll, code):
    browser, page = claim(poll, "WRONG")
    form = page.text.split('class="enter"')[1]
    assert UNKNOWN in form and 'aria-describedby="error code-hint"' in form
    assert "<title>Error: " in page.text
    claim(poll, code, browser)
    _, page = claim(poll, "WRONG", browser)
    assert "<details open><summary>Use another code" in page.text


def test_it_rejects_a_void_code(poll, code):
    browser, _ = claim(poll, code)
    assert poll.invitation_set.all().void() == 1
    assert claim(poll, code)[1].context["error_message"] == VOID
    answer = vote(browser, poll)
    assert answer.context["error_message"] == (
        "Your vote was not counted: this invitation code is void."
    )
    assert Ballot.objects.count() == 0


def test_whose_code_was_made_void_can_type_another(poll, code):
    browser, _ = claim(poll, code)
    poll.invitation_set.all().void()
    ((_, another),) = make_codes(poll, 1)
    assert "Invitation code" in browser.get(f"/polls/{poll.pk}/").text
    assert "Invitation code" in vote(browser, poll).text
    claim(poll, another, browser)
    assert vote(browser, poll).status_code == 302


def test_a_forged_cookie_is_no_code(client, poll, code):
    client.cookies[f"code{poll.pk}"] = code
    assert "Invitation code" in client.get(f"/polls/{poll.pk}/").text
    vote(client, poll)
    assert Ballot.objects.count() == 0


def test_two_codes_in_one_browser_are_two_voters(poll):
    browser = Client()
    for _, code in make_codes(poll, 2):
        claim(poll, code, browser)
        vote(browser, poll)
    assert Ballot.objects.count() == 2


def test_the_code_is_nowhere_in_the_database(poll, code):
    browser, _ = claim(poll, code)
    vote(browser, poll)
    rows = [*Invitation.objects.values_list(), *Ballot.objects.values_list()]
    assert code not in repr(rows)
    assert browser.cookies[f"code{poll.pk}"]["path"] == f"/polls/{poll.pk}/"


def test_where_no_code_is_asked_for_the_link_leads_to_the_ballot(client, question):
    answer = client.get(f"/polls/{question.pk}/code/ABC/")
    assert answer.headers["Location"] == f"/polls/{question.pk}/"


def test_the_address_of_the_form_leads_back_and_is_no_guess(client, poll):
    """As when somebody loads the page again after a wrong code."""
    for _ in range(throttle.CODES.free + 1):
        answer = client.get(f"/polls/{poll.pk}/code/")
    assert answer.headers["Location"] == f"/polls/{poll.pk}/"


def test_the_code_form_requires_the_security_token(poll, code):
    strict = Client(enforce_csrf_checks=True)
    assert claim(poll, code, strict)[1].status_code == 403


def guess(client, poll, times=1, **headers):
    for _ in range(times):
        answer = client.get(f"/polls/{poll.pk}/code/WRONG/", headers=headers)
    return answer


def test_it_limits_wrong_codes(client, poll, code):
    assert guess(client, poll, throttle.CODES.free).status_code == 200
    answer = guess(client, poll)
    assert answer.status_code == 429
    assert "Wait a minute, then try again." in answer.text


def test_a_right_code_passes_whatever_its_network_has_tried(client, poll, code):
    guess(client, poll, throttle.CODES.free + 1)
    assert client.get(f"/polls/{poll.pk}/code/{code}/").status_code == 302
    assert f"code{poll.pk}" in client.cookies


def test_the_limit_lasts_a_minute(client, poll, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(throttle, "wrong_tries", WrongTries(clock=lambda: now))
    guess(client, poll, throttle.CODES.free)
    now += 59
    assert guess(client, poll).status_code == 429
    now += 1
    assert guess(client, poll).status_code == 200


def test_right_codes_do_not_count(client, poll, code):
    for _ in range(throttle.CODES.free + 1):
        answer = client.get(f"/polls/{poll.pk}/code/{code}/")
    assert answer.status_code == 302


def test_others_can_still_vote(poll, code):
    robot, voter = Client(REMOTE_ADDR="203.0.113.7"), Client(REMOTE_ADDR="203.0.113.8")
    guess(robot, poll, throttle.CODES.free)
    assert guess(robot, poll).status_code == 429
    assert guess(voter, poll).status_code == 200
    assert voter.get(f"/polls/{poll.pk}/code/{code}/").status_code == 302


def test_a_network_of_version_6_is_one_client(poll):
    for n in range(throttle.CODES.free):
        guess(Client(REMOTE_ADDR=f"2001:db8::{n:x}"), poll)
    assert guess(Client(REMOTE_ADDR="2001:db8::ffff"), poll).status_code == 429
    assert guess(Client(REMOTE_ADDR="2001:db8:0:1::1"), poll).status_code == 200


def test_many_networks_of_one_customer_are_one_client_later(poll):
    for n in range(throttle.CODES_AROUND.free):
        answer = guess(Client(REMOTE_ADDR=f"2001:db8:0:{n:x}::1"), poll)
        assert answer.status_code == 200
    assert guess(Client(REMOTE_ADDR="2001:db8:0:ffff::1"), poll).status_code == 429
    assert guess(Client(REMOTE_ADDR="2001:db8:1::1"), poll).status_code == 200


def test_a_stranger_cannot_name_another_address(poll):
    robot = Client(REMOTE_ADDR="203.0.113.7")
    for n in range(throttle.CODES.free):
        guess(robot, poll, **{"X-Forwarded-For": f"198.51.100.{n}"})
    answer = guess(robot, poll, **{"X-Forwarded-For": "198.51.100.99"})
    assert answer.status_code == 429


def test_no_address_is_kept(poll):
    robot = Client(REMOTE_ADDR="203.0.113.7")
    guess(robot, poll)
    assert len(throttle.wrong_tries) == 1
    assert "203.0.113" not in repr(vars(throttle.wrong_tries))
    assert all(row.made_at <= timezone.now() for row in Invitation.objects.all())


def test_more_clients_than_fit_share_one_count(poll, monkeypatch):
    monkeypatch.setattr(throttle, "wrong_tries", WrongTries(max_counts=3))
    for n in range(throttle.CODES.free + 3):
        guess(Client(REMOTE_ADDR=f"203.0.113.{n}"), poll)
    assert len(throttle.wrong_tries) == 4
    assert guess(Client(REMOTE_ADDR="198.51.100.1"), poll).status_code == 429


def test_the_next_person_on_the_device_types_another_code(client, poll):
    for _, code in make_codes(poll, 2):
        client.post(f"/polls/{poll.pk}/code/", {"code": code})
        page = client.get(f"/polls/{poll.pk}/").text
        assert "Use another code on this device" in page
        vote = {"choice": poll.choice_set.first().pk}
        assert client.post(f"/polls/{poll.pk}/vote/", vote).status_code == 302
    assert poll.ballot_set.count() == 2


@pytest.fixture
def asked(client, poll):
    """A voter with a vote, and what a link with another code leads to."""
    (_, own), (_, other) = make_codes(poll, 2)
    claim(poll, own, client)
    vote(client, poll)
    return client, client.get(f"/polls/{poll.pk}/code/{other}/"), other


def test_a_link_with_another_code_asks_first(asked, poll):
    client, page, _ = asked
    assert page.status_code == 200 and not page.cookies.get(f"code{poll.pk}")
    assert "This code may be somebody else's" in page.text
    assert "and has voted with it" in page.text
    assert "You have voted." in client.get(f"/polls/{poll.pk}/").text
    vote(client, poll, "Blue")
    assert Ballot.objects.count() == 1


def test_whoever_says_so_uses_the_other_code(asked, poll):
    client, page, other = asked
    code = re.search(r'name="code" value="(\w+)"', page.text).group(1)
    assert code == other
    claim(poll, code, client)
    vote(client, poll)
    assert Ballot.objects.count() == 2


def test_a_preview_of_a_link_with_another_code_changes_nothing(asked, poll):
    client, _, other = asked
    answer = client.head(f"/polls/{poll.pk}/code/{other}/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert not answer.cookies.get(f"code{poll.pk}")


def test_the_same_code_leads_straight_to_the_ballot(client, poll, code):
    for typed in (code, spell(code).lower()):
        answer = client.get(f"/polls/{poll.pk}/code/{typed}/")
        assert answer.headers["Location"] == f"/polls/{poll.pk}/"


def test_a_link_replaces_a_void_code_without_asking(client, poll, code):
    client.get(f"/polls/{poll.pk}/code/{code}/")
    poll.invitation_set.all().void()
    ((_, another),) = make_codes(poll, 1)
    assert client.get(f"/polls/{poll.pk}/code/{another}/").status_code == 302
    assert vote(client, poll).status_code == 302

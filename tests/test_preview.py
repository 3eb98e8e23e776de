"""What organisers see of a poll before it opens, and nobody else: ballot, results and wall."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from polls.models import Ballot, Question
from polls.serving import spectator_cache
from tests.support.admin_forms import LIST, staff

PAGES = ["", "results/", "wall/"]
TEXT = "Which colour?"


@pytest.fixture
def later(ask):
    return ask(TEXT, "Red", "Blue", opens=1)


def path(question, page=""):
    return f"{LIST}{question.pk}/preview/{page}"


@pytest.mark.parametrize("page", PAGES)
def test_it_works(admin_client, later, page):
    answer = admin_client.get(path(later, page))
    assert answer.status_code == 200 and TEXT in answer.text
    assert answer.text.count("Preview: no votes are taken.") == 1


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("actions", [["view"], ["change"]])
def test_who_may_see_the_question_sees_its_preview(later, page, actions):
    assert TEXT in staff(*actions).get(path(later, page)).text


@pytest.mark.parametrize("page", PAGES)
def test_nobody_else_does(client, later, page):
    voter = Client()
    voter.force_login(User.objects.create_user("vera"))
    permitted = User.objects.create_user("no-staff")
    permitted.user_permissions.set(Permission.objects.filter(codename="view_question"))
    outsider = Client()
    outsider.force_login(permitted)
    for who in (client, voter, outsider):
        answer = who.get(path(later, page))
        assert answer.status_code == 302 and "/admin/login/" in answer["Location"]
    for who in (staff(), staff("add"), staff("delete")):
        answer = who.get(path(later, page))
        assert answer.status_code == 403 and TEXT not in answer.text


@pytest.mark.parametrize("page", PAGES)
def test_nothing_of_it_reaches_the_public(client, admin_client, later, page, keeping):
    """Not by a cache either, whoever asks afterwards, under either address."""
    for _ in range(2):
        admin_client.get(path(later, page))
    assert not len(spectator_cache.pages) and not len(spectator_cache.questions)
    assert TEXT not in client.get(path(later, page)).text
    for public in ("", "results/", "share/", "results.json", "live/"):
        for who in (client, admin_client):
            answer = who.get(f"/polls/{later.pk}/{public}")
            assert answer.status_code == 404 and TEXT not in answer.text
    assert TEXT not in client.get("/polls/").text


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("voters", ["anyone", "accounts", "codes"])
def test_it_sets_no_cookie(admin_client, ask, page, voters):
    later = ask(TEXT, "Red", "Blue", opens=1, voters=voters)
    answer = admin_client.get(path(later, page))
    assert not answer.cookies and "no-store" in answer["Cache-Control"]


def test_it_takes_no_vote(admin_client, later):
    red = later.choice_set.first().pk
    page = admin_client.get(path(later)).text
    assert f'action="{path(later)}"' in page
    assert re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page) == ["preview"]
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = admin_client.cookies
    answer = browser.post(path(later), {"choice": red})
    assert "A preview takes no votes." in answer.text and not answer.cookies
    assert (
        admin_client.post(f"/polls/{later.pk}/vote/", {"choice": red}).status_code
        == 404
    )
    assert not Ballot.objects.exists()
    for page in ("results/", "wall/"):
        assert admin_client.post(path(later, page)).status_code == 405


def test_it_shows_the_ballot_and_not_the_question_for_a_code(admin_client, ask):
    later = ask(TEXT, "Red", "Blue", opens=1, voters="codes")
    page = admin_client.get(path(later)).text
    assert "Red" in page and 'name="choice"' in page


@pytest.mark.parametrize("results, shown", [("always", True), ("closed", False)])
def test_it_shows_what_a_spectator_is_to_see(admin_client, ask, results, shown):
    later = ask(TEXT, "Red", "Blue", opens=1, results=results)
    for page in ("results/", "wall/"):
        assert ("Red" in admin_client.get(path(later, page)).text) == shown


@pytest.mark.parametrize("page", PAGES)
def test_its_links_stay_in_the_preview(admin_client, later, page):
    text = admin_client.get(path(later, page)).text
    assert not re.findall(rf'(?:href|action)="(/polls/{later.pk}/[^"]*)"', text)
    assert "live.js" not in text


@pytest.mark.parametrize("state", [{"opens": -1}, {"opens": -2, "closes": -1}])
def test_a_poll_that_has_opened_shows_itself(admin_client, ask, state):
    question = ask(TEXT, "Red", "Blue", **state)
    public = ["", "results/", "share/"]
    for page, name in zip(PAGES, public):
        answer = admin_client.get(path(question, page))
        assert answer["Location"] == f"/polls/{question.pk}/{name}"


def test_it_knows_nothing_of_the_organisers_own_browser(admin_client, later):
    admin_client.cookies["draft"] = str(later.choice_set.first().pk)
    page = admin_client.get(path(later)).text
    assert " checked" not in page and ">Log in</a>" in page


def test_the_preview_keeps_the_messages_of_the_admin(admin_client, later):
    admin_client.post(f"{LIST}{later.pk}/duplicate/")
    assert "This is the copy." not in admin_client.get(path(later)).text
    assert "This is the copy." in admin_client.get(LIST).text


def test_it_is_not_there_for_a_question_that_is_not(admin_client, db):
    assert admin_client.get(f"{LIST}999/preview/").status_code == 404


def test_the_share_page_leads_there_until_it_opens(admin_client, later):
    share = f"{LIST}{later.pk}/share/"
    assert all(path(later, page) in admin_client.get(share).text for page in PAGES)
    Question.objects.update(pub_date=later.pub_date.replace(year=2001))
    assert "/preview/" not in admin_client.get(share).text

"""The admin's first page and a question's live page: numbers for organisers, which tell nobody's vote."""

import datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from polls.admin import dashboard
from polls.counting.turnout import turnout
from polls.models import Ballot, Question
from polls.retention import forget_voters
from tests.support.admin_forms import LIST, load, save
from tests.support.ballots import voted


def staff(*permissions: str) -> Client:
    user, client = User.objects.create_user("ann", is_staff=True), Client()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


def test_it_works(admin_client, ask):
    voted(ask("Which colour?", "Red", "Blue", closes=2), "1", "1", "2")
    ask("Which way?", "Left", "Right", opens=3)
    ask("Which day?", "Today", "Never", opens=-9, closes=-1)
    page = admin_client.get("/admin/").text
    opens, closes = page.index(">Which way?<"), page.rindex(">Which colour?<")
    assert closes < opens < page.index("Closed lately") < page.index(">Which day?<")
    assert ">Closes in 1 hour<" in page
    assert '<b data-number="ballots-' in page and ">3</b>" in page
    assert '<dd data-number="today">3</dd>' in page
    assert "Add a poll" in page


def test_what_closed_lately_leads_to_its_results(admin_client, ask):
    """The newest ends first, and for some days."""
    old, *lately = [ask(f"Day {n}?", opens=-999, closes=-n) for n in (170, 3, 2, 1)]
    page = admin_client.get("/admin/").text
    places = [page.index(f'<a href="{q.results_url}"') for q in lately]
    assert places == sorted(places, reverse=True)
    assert old.results_url not in page


def test_it_says_what_to_do_where_there_is_no_poll(admin_client):
    assert "No poll is open." in admin_client.get("/admin/").text


def test_it_shows_numbers_to_those_alone_who_see_results(question):
    client = staff("add_question")
    page = client.get("/admin/").text
    assert "Add a poll" in page and "Open now" not in page
    assert client.get("/admin/numbers.json").status_code == 403
    assert client.get(f"{LIST}{question.pk}/live/").status_code == 403
    assert client.get(f"{LIST}{question.pk}/live/numbers.json").status_code == 403


def test_strangers_are_asked_to_log_in(client, question):
    for path in ("/admin/", "/admin/numbers.json", f"{LIST}{question.pk}/live/"):
        assert "/admin/login/" in client.get(path).headers["Location"]


def test_it_takes_as_many_queries_for_many_polls(admin_client, ask):
    voted(ask("Which colour?", "Red", "Blue", closes=1), "1")
    few = queries(admin_client, "/admin/")
    for n in range(20):
        voted(ask(f"Number {n}?", "Red", "Blue", closes=1 + n), "1")
        ask(f"Closed {n}?", "Red", "Blue", opens=-9, closes=-1)
    assert queries(admin_client, "/admin/") == few
    page = admin_client.get("/admin/").text
    assert page.count('class="board-number"') == dashboard.OPEN
    assert "All 21 open polls" in page


def test_the_numbers_move_and_else_are_not_sent_again(admin_client, question):
    voted(question, "1")
    answer = admin_client.get("/admin/numbers.json")
    assert answer.json()[f"ballots-{question.pk}"] == "1"
    known = {"If-None-Match": answer.headers["ETag"]}
    again = admin_client.get("/admin/numbers.json", headers=known)
    assert again.status_code == 304 and not again.content
    Ballot.objects.all().bulk_delete()
    question.choice_set.update(votes=0, first_marks=0)
    answer = admin_client.get("/admin/numbers.json", headers=known)
    assert answer.json()[f"ballots-{question.pk}"] == "0"


def test_ballots_of_yesterday_are_not_of_today(question, monkeypatch):
    voted(question, "1", "1", "2")
    first = Ballot.objects.order_by("pk").values("pk")[:1]
    yesterday = timezone.now() - datetime.timedelta(days=1)
    Ballot.objects.filter(pk__in=list(first.values_list("pk", flat=True))).update(
        cast_at=yesterday
    )
    assert dashboard.ballots_today() == "2"
    monkeypatch.setattr(dashboard, "NEWEST", 2)
    assert dashboard.ballots_today() == "2 or more"


def test_a_question_has_live_numbers_of_its_own(admin_client, question):
    voted(question, "1", "1", "2")
    page = admin_client.get(f"{LIST}{question.pk}/live/").text
    assert "66.7%" in page and "Ballots over time" in page
    red = question.choice_set.get(choice_text="Red").pk
    shown = admin_client.get(f"{LIST}{question.pk}/live/numbers.json").json()
    assert shown["ballots"] == "3"
    assert (shown[f"votes-{red}"], shown[f"bar-{red}"]) == ("2", 66.7)
    assert f'data-number="percent-{red}"' in page


def test_it_says_who_else_does_not_see_them(admin_client, question):
    Question.objects.update(results="closed")
    page = admin_client.get(f"{LIST}{question.pk}/live/").text
    assert "Hidden from voters until the close: do not project this page." in page


def test_list_form_and_sharing_page_lead_there(admin_client, question):
    live = f"{LIST}{question.pk}/live/"
    assert f'href="{live}"' in admin_client.get(LIST).text
    assert f'href="{live}"' in admin_client.get(f"{LIST}{question.pk}/share/").text
    page = load(admin_client, question)
    answer = save(admin_client, question, page, _live="")
    assert answer.headers["Location"] == live


def cast_at_hours(question: Question, *hours: int) -> Question:
    """Cast a ballot so many hours after the question opened, for each of these."""
    voted(question, *["1"] * len(hours))
    for ballot, hour in zip(Ballot.objects.order_by("pk"), hours):
        ballot.cast_at = question.pub_date + datetime.timedelta(hours=hour, minutes=1)
        ballot.save()
    return question


def steps(question: Question) -> list[int]:
    counts = [p.ballots for p in turnout(question, question.ballot_set.count()).points]
    return [after - before for before, after in zip(counts, counts[1:])]


def test_the_curve_rises_by_the_hour(ask):
    question = ask("When?", "Now", "Later", opens=-30)
    cast_at_hours(question, *[1] * 12, *[9] * 15)
    points = turnout(question, 27).points
    assert [point.ballots for point in points] == [0, 12, 27]
    assert points[1].moment - question.pub_date <= datetime.timedelta(hours=3)


@pytest.mark.parametrize(
    "hours",
    [
        [1],
        [1] * 9,
        [1] * 9 + [2] * 9,
        [1, *[2] * 30, 3, 4],
        [*range(1, 29)],
        [*[n for n in range(1, 29) for _ in range(4)]],
    ],
)
def test_no_step_of_it_is_of_few_people(ask, hours):
    question = ask("When?", "Now", "Later", opens=-30)
    assert all(step >= 10 for step in steps(cast_at_hours(question, *hours)))


def test_who_withdraws_was_one_of_many(ask):
    """The attacker compares the curve before and after a vote was withdrawn, while the totals tell which choice."""
    question = ask("When?", "Now", "Later", opens=-30)
    alone, *_ = [1, *[2] * 12, *[5] * 12]
    cast_at_hours(question, alone, *[2] * 12, *[5] * 12)
    before = turnout(question, 25).points
    Ballot.objects.order_by("pk")[0].delete()
    after = turnout(question, 24).points
    assert [p.moment for p in before] == [p.moment for p in after]
    assert [p.ballots for p in before] == [0, 13, 25]
    assert [p.ballots for p in after] == [0, 12, 24]


def test_there_is_none_where_times_are_erased(admin_client, ask):
    question = ask("When?", "Now", "Later", opens=-30)
    cast_at_hours(question, *[3] * 20)
    question.close()
    page = f"{LIST}{question.pk}/live/"
    assert "<polyline" in admin_client.get(page).text
    forget_voters(Question.objects.get())
    text = admin_client.get(page).text
    assert "The times of these ballots have been erased." in text
    assert "<polyline" not in text


def test_of_many_ballots_it_draws_a_sample(ask, monkeypatch):
    monkeypatch.setattr("polls.counting.turnout.SAMPLE", 100)
    question = ask("When?", "Now", "Later", opens=-30)
    cast_at_hours(question, *[1] * 200, *[9] * 200)
    for n, ballot in enumerate(Ballot.objects.order_by("pk")):
        ballot.voter_key = f"{n * 7919 % 400 * 16**8 // 400:08x}{n:024x}"
        ballot.save()
    curve = turnout(question, 400)
    assert curve.is_sample
    assert curve.points[-1].ballots == 400
    assert 170 <= curve.points[1].ballots <= 230


def test_a_purge_makes_no_ballots_of_today(ask):
    """It writes old ballots anew, with the time of the close and the highest ids."""
    cast_at_hours(ask("When?", "Now", "Later", opens=-72), 1, 1, 2)
    Question.objects.get().close()
    forget_voters(Question.objects.get())
    assert dashboard.ballots_today() == "0"


def test_it_says_that_a_purge_may_hide_ballots_of_today(ask, monkeypatch):
    old = cast_at_hours(ask("When?", "Now", "Later", opens=-72), 1, 1)
    voted(ask("Which colour?", "Red", "Blue"), "1")
    old.close()
    forget_voters(Question.objects.get(pk=old.pk))
    monkeypatch.setattr(dashboard, "NEWEST", 2)
    assert dashboard.ballots_today() == "0 or more"


def test_the_curve_bears_that_the_last_ballot_was_just_withdrawn(question):
    assert turnout(question, 1).points == []

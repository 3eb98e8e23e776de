"""Pages of who carries a voter's cookie: words from memory, numbers and one's own from the database at that moment."""

import re
from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from polls import process_memory
from polls.counting.ballots_csv import fix_fingerprint
from polls.database import Statement
from polls.models import Question
from polls.page_sql import read
from polls.serving import own_pages
from polls.serving.spectator_cache import Cache
from polls.voting.cast import cast
from polls.voting.identity import make_codes

pytestmark = pytest.mark.usefixtures("keeping")
ANN, BOB = "a" * 32, "b" * 32


@pytest.fixture
def clock() -> SimpleNamespace:
    """It stands still: a slow machine forgets nothing in the middle of a test."""
    return SimpleNamespace(now=100.0)


@pytest.fixture(autouse=True)
def cache(monkeypatch, clock) -> Cache:
    cache = Cache(clock=lambda: clock.now)
    monkeypatch.setattr(own_pages, "pages", cache)
    return cache


def vote(client: Client, question: Question, *choices: str) -> None:
    """Vote for these choices, in this order, as a new voter or again."""
    ids = dict(question.choice_set.values_list("choice_text", "pk"))
    chosen = [ids[text] for text in choices]
    sent = {f"rank{n}": pk for n, pk in enumerate(chosen, 1)} | {"choice": chosen}
    client.get(f"/polls/{question.pk}/")
    vote = client.post(f"/polls/{question.pk}/vote/", sent)
    assert vote.status_code == 302


@pytest.fixture
def ann(client, question) -> Client:
    """She has voted Red, and a page is in memory."""
    vote(client, question, "Red")
    results(client, question)
    return client


def results(client: Client, question: Question, name: str = "results/") -> str:
    return client.get(f"/polls/{question.pk}/{name}").text


def test_it_works(ann, question, django_assert_num_queries):
    bob = Client()
    vote(bob, question, "Red")
    with django_assert_num_queries(1):
        page = results(bob, question)
    receipt = question.ballot_set.last().receipt
    assert "2 ballots" in page and receipt in page
    assert question.ballot_set.first().receipt not in page


@pytest.mark.parametrize("kind", ["one", "several", "ranked"])
def test_one_page_is_for_all_who_have_voted(ask, django_assert_num_queries, kind):
    """Whatever they chose, and whoever leads by now."""
    question = ask("Which?", "Red", "Blue", kind=kind)
    first, second = Client(), Client()
    vote(first, question, "Red")
    results(first, question)
    vote(second, question, *(["Blue"] if kind == "one" else ["Red", "Blue"]))
    # The other one is the count of the rounds.
    with django_assert_num_queries(2 if kind == "ranked" else 1):
        page = results(second, question)
    assert 'Blue</span> <strong class="mark">Your' in page


POLLS = {
    "one": {"kind": "one"},
    "several": {"kind": "several"},
    "ranked": {"kind": "ranked"},
    "without receipts": {"receipts": False},
    "once and for all": {"may_change": False, "language": "ar", "may_embed": True},
    "hidden": {"results": "closed"},
    "for those who voted": {"results": "voted"},
}
PAGES = "{}/", "{}/results/", "{}/results.json", ""


@pytest.mark.parametrize("promises", POLLS.values(), ids=POLLS)
def test_a_page_from_memory_is_what_the_view_makes(ask, look, clock, promises):
    """Of one without votes, with another leader after each look, and closed; to each voter, and to one who has not voted."""
    question = ask("<Which & what>?", "Tea & <milk>", "X" * 100, closes=1, **promises)
    tea, x = question.choice_set.order_by("id").values_list("choice_text", flat=True)
    voters = [Client(), Client(), Client()]
    for voter in voters:
        voter.get(f"/polls/{question.pk}/")
    look(question, voters)
    for voter, text in zip(voters[1:], (tea, x)):
        vote(voter, question, text)
        look(question, voters)
    for number in range(2):
        pk = question.choice_set.get(choice_text=x).pk
        cast(question, f"{number:032}", [pk])
        look(question, voters)
    question.close()
    question.refresh_from_db()
    fix_fingerprint(question)
    clock.now += 1
    look(question, voters)


@pytest.fixture
def look(monkeypatch) -> Callable[[Question, list[Client]], None]:
    """Compare what each gets from memory with what the view makes."""

    def made(voter: Client, path: str) -> HttpResponse:
        with monkeypatch.context() as forgetful:
            forgetful.setattr(process_memory, "KEPT_IN_TESTS", False)
            forgetful.setattr(own_pages, "pages", Cache())
            return voter.get(path, HTTP_ACCEPT_LANGUAGE="de")

    def look(question: Question, voters: list[Client]) -> None:
        for page in PAGES:
            path = f"/polls/{page}".format(question.pk)
            for voter in voters + voters[::-1]:
                known = voter.get(path, HTTP_ACCEPT_LANGUAGE="de")
                own = made(voter, path)
                assert known.status_code == own.status_code
                assert _without_tokens(known.text) == _without_tokens(own.text)
                assert _headers(known) == _headers(own)

    return look


def test_each_ballot_page_has_a_token_of_its_browser(ann, question):
    bob = Client(enforce_csrf_checks=True)
    red = question.choice_set.get(choice_text="Red").pk
    for page in [bob.get(f"/polls/{question.pk}/") for _ in range(3)]:
        token = page.text.split('csrfmiddlewaretoken" value="')[1].split('"')[0]
        vote = {"choice": red, "csrfmiddlewaretoken": token}
        assert bob.post(f"/polls/{question.pk}/vote/", vote).status_code == 302
    assert token not in results(ann, question, "")


def test_a_ballot_page_knows_what_was_chosen(ann, question, django_assert_num_queries):
    results(ann, question, "")
    with django_assert_num_queries(1):
        page = results(ann, question, "")
    red = question.choice_set.get(choice_text="Red").pk
    assert f'value="{red}" checked' in page and "Change your vote" in page


def test_whose_code_was_made_void_is_asked_for_another(client, ask):
    question = ask("Which?", "Red", "Blue", voters="codes")
    ((_, code),) = make_codes(question, 1)
    client.get(f"/polls/{question.pk}/code/{code}/")
    for _ in range(2):
        assert 'name="choice"' in results(client, question, "")
    question.invitation_set.void()
    assert 'name="choice"' not in results(client, question, "")


def test_what_was_chosen_before_the_log_in_is_kept(client, ask):
    question = ask("Which?", "Red", "Blue", voters="accounts")
    red = question.choice_set.get(choice_text="Red").pk
    for _ in range(3):
        assert "checked" not in results(client, question, "")
    client.post(f"/polls/{question.pk}/vote/", {"choice": red})
    assert f'value="{red}" checked' in results(client, question, "")


def test_the_list_has_the_numbers_of_the_moment(
    ann, ask, question, django_assert_num_queries
):
    other = ask("Other?", "Tea")
    ann.get("/polls/")
    cast(other, BOB, [other.choice_set.get().pk])
    with django_assert_num_queries(1):
        page = ann.get("/polls/").text
    assert page.count("You voted") == 1 and page.count("1 ballot<") == 2
    ann.post(f"/polls/{question.pk}/withdraw/")
    # With its message.
    ann.get(f"/polls/{question.pk}/")
    for _ in range(2):
        page = ann.get("/polls/").text
        assert "You voted" not in page and page.count("0 ballots<") == 1


def test_what_opens_is_in_the_list_after_a_second(ann, ask, clock):
    ann.get("/polls/")
    ask("Other?", "Tea")
    clock.now += 1
    assert "Other?" in ann.get("/polls/").text


def _headers(answer) -> dict[str, str]:
    headers = {**answer.headers, "Cookies": sorted(answer.cookies)}
    # Another one for each request.
    del headers["X-Request-ID"]
    return headers


def _without_tokens(page: str) -> str:
    return re.sub('(csrfmiddlewaretoken" value=")[^"]+', r"\1", page)


def test_what_one_has_just_done_one_sees_at_once(ann, question):
    assert "1 ballot<" in results(ann, question)
    vote(ann, question, "Blue")
    page = results(ann, question)
    assert 'Blue</span> <strong class="mark">Your vote' in page
    ann.post(f"/polls/{question.pk}/withdraw/")
    page = results(ann, question)
    assert "0 ballots" in page and "Your vote" not in page


def test_others_are_counted_at_once(ann, question):
    blue = question.choice_set.get(choice_text="Blue").pk
    for number, voter in enumerate((BOB, "c" * 32), 2):
        cast(question, voter, [blue])
        assert f"{number} ballots" in results(ann, question)
        assert f'"ballots": {number}' in results(ann, question, "results.json")


def test_rules_are_forgotten_after_a_second(ann, question, clock):
    Question.objects.update(results="organisers")
    clock.now = 100.49
    assert "100.0%" in results(ann, question)
    clock.now = 101.0
    assert "100.0%" not in results(ann, question)


def test_who_withdraws_sees_no_more_of_what_voters_see(client, ask):
    question = ask("Which?", "Red", "Blue", results="voted")
    vote(client, question, "Red")
    for _ in range(2):
        assert "100.0%" in results(client, question)
        assert client.get(f"/polls/{question.pk}/results.json").status_code == 200
    client.post(f"/polls/{question.pk}/withdraw/")
    assert "100.0%" not in results(client, question)
    assert client.get(f"/polls/{question.pk}/results.json").status_code == 403


def test_who_has_not_voted_sees_nothing_that_a_voter_has_seen(client, ask):
    question = ask("Which?", "Red", "Blue", results="voted")
    vote(client, question, "Red")
    results(client, question)
    stranger = Client()
    stranger.get(f"/polls/{question.pk}/")
    assert "100.0%" not in results(stranger, question)
    assert stranger.get(f"/polls/{question.pk}/results.json").status_code == 403


def test_a_wall_is_a_spectators_in_the_browser_of_a_voter_too(client, ask):
    question = ask("Which?", "Red", "Blue", results="voted")
    vote(client, question, "Red")
    path = f"/polls/{question.pk}/results.json"
    assert client.get(path).status_code == 200
    assert client.get(path, {"as": "spectator"}).status_code == 403


# What it notes in a thread of its own, no transaction of the test is to hold up.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "policy, shown", [("closed", "100.0%"), ("organisers", "Closed<")]
)
def test_it_closes_by_the_clock(client, ask, monkeypatch, policy, shown):
    question = ask("Which?", "Red", "Blue", closes=1, results=policy)
    vote(client, question, "Red")
    for _ in range(2):
        assert shown not in results(client, question)
        assert "Closed polls" not in client.get("/polls/").text
    monkeypatch.setattr(timezone, "now", lambda: question.closes_at)
    for _ in range(2):
        assert shown in results(client, question)
        assert "Closed polls" in client.get("/polls/").text


def test_an_organiser_is_answered_by_the_view(ann, admin_client, question):
    Question.objects.update(results="organisers")
    assert "100.0%" in results(admin_client, question)
    assert "do not project this page" in results(admin_client, question)


def test_each_language_has_its_own(ann, question):
    path = f"/polls/{question.pk}/results/"
    for language, word in (("de", "Stimmzettel"), ("en", "ballot")):
        for _ in range(2):
            page = ann.get(path, HTTP_ACCEPT_LANGUAGE=language)
            assert word in page.text and page["Content-Language"] == language


def test_who_has_the_newest_is_told_so(ann, question):
    path = f"/polls/{question.pk}/results.json"
    etag = ann.get(path)["ETag"]
    assert ann.get(path, HTTP_IF_NONE_MATCH=etag).status_code == 304
    cast(question, BOB, question.choice_set.values_list("pk", flat=True)[:1])
    assert ann.get(path, HTTP_IF_NONE_MATCH=etag).status_code == 200


@pytest.mark.sqlite
def test_a_database_that_fails_is_told_by_a_page_of_the_site(ann, question):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE polls_mark RENAME TO away")
    ann.raise_request_exception = False
    page = ann.get(f"/polls/{question.pk}/results/")
    assert page.status_code == 503 and "Content-Security-Policy" in page.headers


def test_an_error_ends_a_reading_at_once(db):
    """The language that it has entered is not left in the middle of another request, when garbage is collected."""
    ended = []

    def reading():
        with closing(SimpleNamespace(close=lambda: ended.append(True))):
            yield Statement("SELECT nothing FROM nowhere", [])

    with pytest.raises(DatabaseError), transaction.atomic():
        read(reading())
    assert ended


def test_a_poll_that_is_deleted_is_not_found(ann, question):
    question.delete()
    assert ann.get(f"/polls/{question.pk}/results/").status_code == 404


def test_a_forged_cookie_is_nobodys(ann, question):
    ann.cookies["voter"] = ann.cookies["voter"].value[:-1] + "-"
    assert "Your vote" not in results(ann, question)

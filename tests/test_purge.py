"""manage.py purge: what is forgotten when, and that it is really gone."""

import contextlib
import datetime
import io
import threading
from pathlib import Path

import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from polls import background, erasure, retention
from polls.counting.ballots_csv import fix_fingerprint
from polls.models import Ballot, Choice, Mark, Question
from polls.promises import Voters
from polls.retention import what_is_kept
from polls.voting.cast import NotOpen, cast, withdraw
from polls.voting.identity import make_codes, voter_key
from tests.support.ballots import assert_count_adds_up, fetch_ballots, voted

# What is for good cannot be part of a transaction.
pytestmark = pytest.mark.django_db(transaction=True)


def purge(*words: str) -> str:
    out = io.StringIO()
    call_command("purge", *words, stdout=out, stderr=out)
    return out.getvalue()


@pytest.fixture
def old(question) -> Question:
    """Three ballots, closed ten days ago."""
    return closed(voted(question, "1", "2", "1"), days=10)


def closed(question: Question, days: int) -> Question:
    then = timezone.now() - datetime.timedelta(days=days)
    question.pub_date, question.closes_at = then, then
    question.save(update_fields=["pub_date", "closes_at"])
    return question


def test_it_works(old):
    assert "Question 1 “Which colour?”: voters forgotten." in purge(
        "--forget-voters", "9", "--yes"
    ).replace(f"Question {old.pk}", "Question 1")
    assert Question.objects.get().voter_salt == ""
    assert Ballot.objects.count() == 3


@pytest.mark.parametrize("what", ["--forget-voters", "--delete-ballots"])
def test_what_it_purges_has_closed_for_good(old, keeping, monkeypatch, what):
    """Also where no other thread has come to write that down when the command ends."""
    later = lambda key, work: threading.Event()
    monkeypatch.setattr(background.after_close, "submit", later)
    purge(what, "9", "--yes")
    assert Question.objects.get().closed_at == old.closes_at


def test_a_fingerprint_says_that_its_poll_has_closed(old):
    fix_fingerprint(old)
    assert Question.objects.get().closed_at == old.closes_at


def test_it_does_nothing_without_yes(old):
    said = purge("--forget-voters", "9", "--delete-ballots", "9", "--delete-polls", "9")
    assert "ballots: 3: would delete the poll." in said
    assert "All sessions from before these polls closed would be deleted" in said
    assert "Nothing has been done. Say --yes to do it." in said
    assert Question.objects.get().voter_salt == old.voter_salt
    assert Ballot.objects.count() == 3


def test_it_says_that_there_is_nothing_to_do_and_why(old):
    assert purge().startswith("There is nothing to do: neither")
    cleared, why, _ = purge("--yes").split("\n")
    assert cleared == "Ended sessions were cleared."
    assert why.startswith("There is nothing else to do: neither")
    assert Question.objects.get().voter_salt


def test_it_clears_sessions_that_have_ended(db):
    now, hour = timezone.now(), datetime.timedelta(hours=1)
    for key, ends in (("ended", now - hour), ("lasts", now + hour)):
        Session.objects.create(session_key=key, expire_date=ends)
    purge()
    assert Session.objects.count() == 2
    purge("--yes")
    assert Session.objects.get().session_key == "lasts"


def test_it_leaves_open_and_younger_polls_alone(old, ask):
    voted(ask("Open?", "Yes"), "1")
    voted(ask("Closed yesterday?", "Yes", closes=1), "1").close()
    assert "No poll has been closed for so long." in purge(
        "--delete-polls", "11", "--yes"
    )
    purge("--delete-polls", "9", "--yes")
    assert not Question.objects.filter(pk=old.pk).exists()
    assert Question.objects.count() == Ballot.objects.count() == 2


@pytest.mark.parametrize(
    "setting, salts, ballots, questions",
    [
        ("FORGET_VOTERS_DAYS", [""], 3, 1),
        ("DELETE_BALLOTS_DAYS", [""], 0, 1),
        ("DELETE_POLLS_DAYS", [], 0, 0),
    ],
)
def test_it_goes_by_the_settings(old, settings, setting, salts, ballots, questions):
    setattr(settings, setting, 9)
    purge("--yes")
    kept = list(Question.objects.values_list("voter_salt", flat=True))
    assert (kept, Ballot.objects.count(), len(kept)) == (salts, ballots, questions)


def test_an_option_goes_before_the_setting(old, settings):
    settings.DELETE_POLLS_DAYS = 9
    purge("--delete-polls", "20", "--yes")
    assert Question.objects.exists()


def test_deleted_ballots_leave_totals_and_fingerprint(client, old, monkeypatch):
    monkeypatch.setattr(retention, "DELETED_AT_ONCE", 2)
    purge("--delete-ballots", "9", "--yes")
    assert (Ballot.objects.count(), Mark.objects.count()) == (0, 0)
    page = client.get(f"/polls/{old.pk}/results/")
    assert [choice["votes"] for choice in page.context["tally"]["choices"]] == [2, 1]
    assert len(page.context["fingerprint"]) == 64
    assert fetch_ballots(client, old).status_code == 404


def test_it_takes_up_a_deletion_that_was_broken_off(old, monkeypatch):
    monkeypatch.setattr(retention, "DELETED_AT_ONCE", 1)
    monkeypatch.setattr("time.sleep", lambda seconds: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        purge("--delete-ballots", "9", "--yes")
    assert Ballot.objects.count() == 2
    monkeypatch.undo()
    assert "2 ballots deleted" in purge("--delete-ballots", "9", "--yes")
    assert Choice.objects.get(choice_text="Red").votes == 2


def test_it_refuses_a_question_that_does_not_add_up_and_goes_on(old, ask, capsys):
    sound = closed(voted(ask("Sound?", "Yes"), "1"), days=10)
    Choice.objects.filter(choice_text="Red").update(votes=5)
    with pytest.raises(CommandError, match="left as they are"):
        call_command("purge", "--forget-voters", "9", "--yes")
    assert f"Question {old.pk} is left as it is" in capsys.readouterr().err
    assert Question.objects.get(pk=old.pk).voter_salt
    assert Question.objects.get(pk=sound.pk).voter_salt == ""


def test_it_refuses_ballots_that_are_not_those_of_the_fingerprint(client, old):
    client.get(f"/polls/{old.pk}/results/")
    Ballot.objects.filter(voter_key=f"{0:032}").update(receipt="0" * 12)
    with pytest.raises(CommandError):
        purge("--delete-ballots", "9", "--yes")
    assert Ballot.objects.count() == 3


def test_nobody_can_be_tied_to_a_ballot_any_more(client, ask):
    question = ask("Lunch?", "Soup", voters=Voters.CODES)
    ((_, code),) = make_codes(question, 1)
    key = voter_key(question, f"code:{code}")
    cast(question, key, [question.choice_set.get().pk])
    closed(question, days=10)
    purge("--forget-voters", "9", "--yes")
    question.refresh_from_db()
    with pytest.raises(NotOpen):
        voter_key(question, f"code:{code}")
    assert not question.invitation_set.exists()
    assert Ballot.objects.get().voter_key != key


def test_a_poll_without_votes_is_left_alone_and_can_be_opened_again(client, ask):
    question = ask("Lunch?", "Soup", voters=Voters.CODES)
    ((_, code),) = make_codes(question, 1)
    closed(question, days=10)
    assert "No poll has been closed for so long." in purge(
        "--forget-voters", "9", "--yes"
    )
    Question.objects.update(closes_at=None)
    client.get(f"/polls/{question.pk}/code/{code}/")
    page = client.get(f"/polls/{question.pk}/").text
    assert "This poll keeps your choice, the time" in page
    client.post(f"/polls/{question.pk}/vote/", {"choice": question.choice_set.get().pk})
    assert assert_count_adds_up(question) == 1


def test_a_poll_whose_only_vote_was_withdrawn_is_forgotten(question):
    withdraw(voted(question, "1"), f"{0:032}")
    closed(question, days=10)
    purge("--forget-voters", "9", "--yes")
    assert Question.objects.get().voter_salt == ""


@pytest.mark.parametrize("voters", Voters.values)
def test_a_poll_that_has_forgotten_its_voters_shows_its_pages(client, old, voters):
    client.get(f"/polls/{old.pk}/")
    Question.objects.update(voters=voters, results="voted")
    purge("--forget-voters", "9", "--yes")
    for name in ("", "results/", "results.json", "code/", "code/0000-0000-0000/"):
        page = client.get(f"/polls/{old.pk}/{name}", follow=True)
        assert page.status_code == 200, name


def test_nobody_votes_without_a_salt(client, question):
    """Opened by whoever writes to the database: a voter would have the same key on two polls."""
    voter = {"choice": question.choice_set.first().pk}
    Question.objects.update(voter_salt="")
    page = client.post(f"/polls/{question.pk}/vote/", voter)
    assert "this poll has forgotten its voters" in page.text
    with pytest.raises(NotOpen):
        cast(Question.objects.get(), "a" * 32, [voter["choice"]])
    with pytest.raises(NotOpen):
        voter_key(Question.objects.get(), "account:1")
    assert assert_count_adds_up(question) == 0


def test_a_poll_is_saved_with_a_salt_until_it_has_forgotten_its_voters(old, ask):
    new = ask("Which number?", "One")
    Question.objects.update(voter_salt="")
    for question in Question.objects.all():
        question.save(update_fields=["closes_at"])
    assert Question.objects.get(pk=new.pk).voter_salt
    assert not Question.objects.get(pk=old.pk).voter_salt


def files() -> bytes:
    """Return what is in the database's files, of the tables with salts and codes."""
    if connection.vendor == "sqlite":
        name = Path(connection.settings_dict["NAME"])
        return name.read_bytes() + name.with_name(f"{name.name}-wal").read_bytes()
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        cursor.execute(
            "SELECT pg_read_binary_file(pg_relation_filepath('polls_question'))"
        )
        return cursor.fetchone()[0]


def test_the_salt_is_not_in_the_files_any_more(old, ask):
    salt = old.voter_salt.encode()
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            # Debian has it on, others do not.
            cursor.execute("PRAGMA secure_delete=OFF")
    # A row between others that grows is written elsewhere, and leaves what it was.
    for n in range(3):
        ask(f"Another {n}?")
    Question.objects.filter(pk=old.pk).update(question_text="Which colour?" * 9)
    assert salt in files()
    purge("--forget-voters", "9", "--yes")
    assert salt not in files()


@pytest.mark.postgresql
def test_it_waits_for_who_still_sees_the_salt(old):
    salt, known = old.voter_salt.encode(), connection.get_connection_params()
    names = known.keys() & {"dbname", "user", "password", "host", "port"}
    with psycopg.connect(**{name: known[name] for name in names}) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT 1")
        threading.Timer(1, reader.rollback).start()
        purge("--forget-voters", "9", "--yes")
    assert salt not in files()


@pytest.fixture
def reader(old, monkeypatch):
    """Somebody who has begun to read, and for whom nobody waits long."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    on_sqlite = connection.vendor == "sqlite"
    with contextlib.closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute(
            "BEGIN" if on_sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ"
        )
        cursor.execute("SELECT voter_salt FROM polls_question")
        if on_sqlite:
            with connection.cursor() as own:
                own.execute("PRAGMA busy_timeout=0")
        yield cursor
    # Tests beside this one hold transactions for a moment too: they are waited for.
    monkeypatch.undo()
    purge("--yes")
    connection.close()


def test_it_notes_first_that_something_is_to_be_overwritten(db):
    """Whoever kills the run in the middle leaves that to the next one."""
    with erasure.erasing():
        assert erasure.is_overdue()
    assert not erasure.is_overdue()


@pytest.mark.parametrize("words", [[], ["--forget-voters", "9"]], ids=str)
def test_a_later_run_overwrites_what_could_not_be(old, reader, words, monkeypatch):
    with pytest.raises(CommandError, match="can still be found in them"):
        purge("--forget-voters", "9", "--yes")
    with pytest.raises(CommandError, match="can still be found in them"):
        purge(*words, "--yes")
    assert old.voter_salt.encode() in files()
    reader.execute("ROLLBACK")
    monkeypatch.undo()
    assert "is gone from the files too." in purge(*words, "--yes")
    assert old.voter_salt.encode() not in files()
    assert "gone" not in purge(*words, "--yes")


def test_it_overwrites_nothing_without_yes(old, reader, monkeypatch):
    with pytest.raises(CommandError):
        purge("--forget-voters", "9", "--yes")
    reader.execute("ROLLBACK")
    monkeypatch.undo()
    assert "No poll has been closed for so long." in purge("--forget-voters", "9")
    assert old.voter_salt.encode() in files()


@pytest.mark.parametrize("days", [None, 30])
def test_the_ballot_page_says_until_when(client, question, settings, days):
    settings.FORGET_VOTERS_DAYS = days
    page = client.get(f"/polls/{question.pk}/").text
    until = "30 days after the poll has closed" if days else "the operator erases it"
    assert f"Until {until}, whoever runs this site could tie" in page


def test_the_ballot_page_says_that_voters_are_forgotten(client, old):
    purge("--forget-voters", "9", "--yes")
    assert "nobody can tell any more who cast which" in client.get(
        f"/polls/{old.pk}/"
    ).text.replace("\n", " ")


def test_what_is_kept_is_all_that_is_kept(client, question):
    """The line names a choice, a time, a receipt and a key: a new column has to be named too."""
    voted(question, "1")
    columns = {field.name for field in Ballot._meta.fields}
    assert columns == {
        "id",
        "question",
        "voter_key",
        "receipt",
        "cast_at",
        "changed_at",
    }
    assert {field.name for field in Mark._meta.fields} == {
        "id",
        "ballot",
        "choice",
        "rank",
    }
    line = what_is_kept(question)
    for word in ("your choice", "the time", "a receipt code", "a key made of"):
        assert word in line

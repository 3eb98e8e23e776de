"""Another secret: whoever has voted is known again, and a second vote is a change and never a second ballot."""

import io
import shlex
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from polls.models import Ballot, Question
from polls.promises import Voters
from polls.voting.identity import make_codes, voter_key
from tests.support.ballots import assert_count_adds_up, fetch_ballots, vote
from tests.support.waiting import wait_until

OLD, NEW = "o" * 50, "n" * 50


@pytest.fixture(autouse=True)
def old(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []


@pytest.fixture
def rotate(settings: Settings):
    def rotate(*older: str) -> None:
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, list(older)

    return rotate


def manage(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out, stderr=out)
    return out.getvalue()


def test_a_second_vote_is_a_change(client, question, rotate):
    vote(client, question)
    rotate(OLD)
    page = client.get(f"/polls/{question.pk}/")
    assert page.context["own"].receipt == Ballot.objects.get().receipt
    vote(client, question, "Blue")
    assert Ballot.objects.get().choices[0].choice_text == "Blue"
    assert assert_count_adds_up(question) == 1


def test_workers_with_the_old_and_the_new_one_know_one_voter(
    client, question, ask, settings, rotate
):
    """The new one is accepted everywhere before it is used anywhere: each order of requests is one voter."""
    later = ask("Which tea?", "Red", "Blue")
    settings.SECRET_KEY_FALLBACKS = [NEW]
    client.get(f"/polls/{question.pk}/")
    for n in range(4):
        if n % 2:
            rotate(OLD)
        else:
            settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, [NEW]
        for poll in (question, later):
            vote(client, poll, "Blue" if n > 1 else "Red")
    assert [assert_count_adds_up(poll) for poll in (question, later)] == [1, 1]


def test_a_poll_that_is_made_later_has_the_new_one(client, question, ask, rotate):
    rotate(OLD)
    later = ask("Which tea?", "Red", "Blue")
    rotate()
    assert len(voter_key(later, "account:1")) == 32
    assert voter_key(question, "account:1") == ""


def test_who_has_voted_since_is_known_when_the_old_one_goes(
    client, question, ask, rotate
):
    client.get(f"/polls/{question.pk}/")
    rotate(OLD)
    later = ask("Which tea?", "Red", "Blue")
    vote(client, later)
    rotate()
    vote(client, later, "Blue")
    assert Ballot.objects.get().choices[0].choice_text == "Blue"


def test_codes_that_were_printed_and_log_ins_hold(client, ask, rotate):
    poll = ask("Lunch?", "Red", "Blue", voters=Voters.CODES)
    (_, first), (_, second) = make_codes(poll, 2)
    client.get(f"/polls/{poll.pk}/code/{first}/")
    user = User.objects.create_user("olga")
    client.force_login(user)
    rotate(OLD)
    assert vote(client, poll).status_code == 302
    other = Client()
    other.get(f"/polls/{poll.pk}/code/{second}/")
    assert vote(other, poll, "Blue").status_code == 302
    assert assert_count_adds_up(poll) == 2
    assert client.get("/polls/").wsgi_request.user == user


@pytest.mark.parametrize("voters", ["anyone", "codes"])
def test_without_the_old_one_nobody_votes_twice_and_nothing_is_lost(
    client, ask, rotate, caplog, voters
):
    poll = ask("Lunch?", "Red", "Blue", voters=voters)
    codes = make_codes(poll, 2) if voters == "codes" else []
    for _, code in codes[:1]:
        client.get(f"/polls/{poll.pk}/code/{code}/")
    vote(client, poll)
    rotate()
    client.raise_request_exception = False
    other = Client(raise_request_exception=False)
    for address in ("/polls/", f"/polls/{poll.pk}/", f"/polls/{poll.pk}/results/"):
        assert client.get(address).status_code == 200
    path = f"/polls/{poll.pk}/code/" if codes else f"/polls/{poll.pk}/vote/"
    form = {"code": codes[-1][1]} if codes else {"choice": poll.choice_set.last().pk}
    assert other.post(path, form).status_code == 503
    gone = f"Question {poll.pk} knows its voters by a secret that is gone."
    assert gone in caplog.text
    assert "Machines that serve one site share one SECRET_KEY." in caplog.text
    # It is back, and so are the voters.
    rotate(OLD)
    if not codes:
        assert vote(client, poll, "Blue").status_code == 302
    assert assert_count_adds_up(poll) == 1


def test_a_closed_poll_is_well_without_the_old_one(client, question, rotate):
    vote(client, question)
    question.close()
    rotate()
    for name in ("", "results/", "results.json"):
        assert client.get(f"/polls/{question.pk}/{name}").status_code == 200
    assert fetch_ballots(client, question).status_code == 200
    call_command("recount", verbosity=0)


@pytest.fixture
def kept(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the old secret in it, of which a start makes the settings."""
    monkeypatch.delenv("SECRET_KEY", raising=False)
    keep_in(tmp_path, settings)
    settings.SECRET_KEPT.write_text(OLD)
    return tmp_path


def keep_in(folder: Path, settings: Settings) -> None:
    settings.SECRET_KEPT = folder / "secret_key"
    settings.OLDER_KEPT = folder / "secret_key_fallbacks"
    settings.NEXT_KEPT = folder / "secret_key_next"


def start(settings: Settings) -> None:
    """Read the secrets as a start does."""
    files = (settings.SECRET_KEPT, settings.OLDER_KEPT, settings.NEXT_KEPT)
    texts = [path.read_text().split() if path.exists() else [] for path in files]
    (settings.SECRET_KEY,), older, following = texts
    settings.SECRET_KEY_FALLBACKS = older + following


def test_the_command_takes_a_new_one_in_two_steps(kept, client, question, settings):
    vote(client, question)
    Question.objects.update(secret_name="")
    assert "is made, and not used yet" in manage("rotatesecret")
    start(settings)
    assert settings.SECRET_KEY == OLD
    vote(client, question, "Blue")
    assert f"Keep a copy of the file {kept}" in manage("rotatesecret", "--use")
    start(settings)
    assert settings.SECRET_KEY != OLD and settings.SECRET_KEY_FALLBACKS == [OLD]
    assert len(settings.SECRET_KEY) > 50
    vote(client, question, "Red")
    assert assert_count_adds_up(question) == 1
    assert all(path.stat().st_mode & 0o77 == 0 for path in kept.glob("*_key_*"))


def test_the_command_drops_those_that_no_open_poll_needs(kept, question, settings):
    for word in ("", "--use"):
        manage("rotatesecret", *filter(None, [word]))
        start(settings)
    kept_one = "deleted: 0. Kept, for polls that are not closed: 1."
    assert kept_one in manage("rotatesecret", "--drop")
    question.close()
    assert "deleted: 1." in manage("rotatesecret", "--drop")
    start(settings)
    assert settings.SECRET_KEY_FALLBACKS == []


def test_the_command_refuses_a_step_out_of_order(kept, db):
    with pytest.raises(CommandError, match="no new secret. Say rotatesecret first"):
        manage("rotatesecret", "--use")
    manage("rotatesecret")
    with pytest.raises(CommandError, match="is there already. Restart the site"):
        manage("rotatesecret")
    assert (kept / "secret_key").read_text() == OLD


@pytest.mark.once
def test_the_new_one_is_not_used_while_a_worker_does_not_know_it(
    kept, db, start, settings
):
    serve = shlex.quote("import polls.wsgi, time; print('up'); time.sleep(60)")
    worker = start(f"python -uc {serve}")
    wait_until(lambda: worker.output() == "up\n", 60)
    keep_in(worker.folder, settings)
    old = settings.SECRET_KEPT.read_text()
    manage("rotatesecret")
    with pytest.raises(CommandError, match="has run since before the new secret was"):
        manage("rotatesecret", "--use")
    assert settings.SECRET_KEPT.read_text() == old
    worker.stop()
    worker.restart()
    wait_until(lambda: worker.output() == "up\n" * 2, 60)
    manage("rotatesecret", "--use")
    assert settings.OLDER_KEPT.read_text() == f"{old}\n"


def test_the_command_says_what_to_do_with_a_secret_of_the_environment(
    kept, db, monkeypatch
):
    monkeypatch.setenv("SECRET_KEY", OLD)
    with pytest.raises(CommandError, match="in the variable SECRET_KEY, where no comm"):
        manage("rotatesecret")
    assert [path.name for path in kept.iterdir()] == ["secret_key"]

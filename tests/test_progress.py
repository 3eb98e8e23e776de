"""Whoever waits at a terminal is told how far the work is; logs and mails are not filled with it."""

import io
import itertools

import pytest
from django.core.management import call_command
from django.core.management.base import OutputWrapper

from polls.management import progress
from polls.management.progress import Progress
from tests.support.ballots import voted


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def work(out: io.StringIO, verbosity: int = 1, seconds: float = 0.4) -> str:
    """Do something ten times, each so long; return what was said."""
    clock = map(float, itertools.count(0, 1))
    slow = Progress(OutputWrapper(out), verbosity, lambda: next(clock) * seconds)
    assert list(slow.of(range(10), 10, "Things")) == [*range(10)]
    return out.getvalue()


def test_it_works():
    said = work(Terminal())
    assert "Things: 2 of 10 (20%)" in said
    # Nothing of it stays.
    assert "\n" not in said and said.split("\r")[-1] == ""


def test_what_is_quick_says_nothing():
    assert work(Terminal(), seconds=0.01) == ""


def test_a_log_is_told_nothing_unless_it_asks():
    assert work(io.StringIO()) == ""
    lines = work(io.StringIO(), verbosity=2).splitlines()
    assert lines[-1].startswith("Things: ") and all("of 10" in line for line in lines)


def test_who_wants_silence_has_it():
    assert work(Terminal(), verbosity=0) == ""


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(progress, "PAUSE", -1)


def test_a_recount_says_how_far_it_is(always, question):
    out = Terminal()
    call_command("recount", stderr=out)
    assert "Questions: 0 of 1 (0%)" in out.getvalue()


def test_a_backup_says_how_far_it_is(always, transactional_db, ask, tmp_path):
    voted(ask("Which colour?", "Red", "Blue"), "1", "2")
    out = Terminal()
    call_command("backup", tmp_path / "kept", stderr=out)
    assert "polls_ballot: 0 of 2 (0%)" in out.getvalue()
    assert out.getvalue().split("\r")[-1] == ""


@pytest.mark.parametrize("what", ["--forget-voters", "--delete-ballots"])
def test_a_purge_says_how_far_it_is(always, transactional_db, ask, what):
    question = voted(ask("Which colour?", "Red", "Blue"), "1", "2")
    question.close()
    out = Terminal()
    call_command("purge", what, "0", "--yes", stderr=out)
    assert f"Question {question.pk}, ballots: 0 of 2 (0%)" in out.getvalue()
    assert "Writing the database's files anew." in out.getvalue()
    assert out.getvalue().split("\r")[-1] == ""

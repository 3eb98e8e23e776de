"""Who sees a change that somebody makes in the database, past the site: docs/the-count.md has it in a table."""

import io
import re
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command

from polls.counting.ballots_csv import file_sha256
from polls.counting.recount import repair
from polls.kinds import Kind
from polls.models import Ballot, Choice, Mark, Question, RankingTotal
from tests.support.ballots import voted
from tests.support.servers import ROOT

VOTER, ADDED = "0" * 32, "added"


def change_mark(question: Question) -> None:
    marks = Mark.objects.filter(ballot__question=question, ballot__voter_key=VOTER)
    chosen = marks.values("choice")
    other = question.choice_set.exclude(pk__in=chosen).first()
    marks.filter(rank=1).update(choice=other)


def match_totals(question: Question) -> None:
    """Set the totals as whoever covers a change would."""
    repair(question)


def change_mark_and_totals(question: Question) -> None:
    change_mark(question)
    match_totals(question)


def add_ballot(question: Question) -> None:
    ballot = Ballot.objects.create(question=question, voter_key=ADDED)
    Mark.objects.create(ballot=ballot, choice=question.choice_set.last())
    match_totals(question)


def delete_ballot(question: Question) -> None:
    Ballot.objects.filter(question=question, voter_key=VOTER).delete()
    match_totals(question)


def change_total(question: Question) -> None:
    Choice.objects.filter(pk=question.choice_set.first().pk).update(votes=40)


def change_ranking(question: Question) -> None:
    ranking = RankingTotal.objects.filter(question=question).first()
    RankingTotal.objects.filter(pk=ranking.pk).update(ballots=40)


def change_mark_totals_and_fingerprint(question: Question) -> None:
    change_mark_and_totals(question)
    Question.objects.filter(pk=question.pk).update(ballots_sha256=file_sha256(question))


CHANGES: dict[str, Callable[[Question], None]] = {
    "a mark": change_mark,
    "a mark, and the totals with it": change_mark_and_totals,
    "a ballot added, and the totals with it": add_ballot,
    "a ballot deleted, and the totals with it": delete_ballot,
    "a total": change_total,
    "the total of a ranking": change_ranking,
    "a mark, the totals and the kept SHA-256": change_mark_totals_and_fingerprint,
}
TABLE = re.findall(
    r"^\| (.+) \| (before the close|after it) \| (.+) \| (.+) \| (.+) \|$",
    (ROOT / "docs" / "the-count.md").read_text(),
    re.MULTILINE,
)


def seen_by_receipt(client, receipt: str, page_before: str) -> str:
    page = client.get(f"/r/{receipt}/").text
    own = lambda text: re.findall("<li>(.*?)</li>|<h1>(.*?)</h1>", text, re.DOTALL)
    return "no" if own(page) == own(page_before) else "yes"


def seen_by_fingerprint(client, question: Question, noted: str) -> str:
    shown = client.get(f"/polls/{question.pk}/results/").context["fingerprint"]
    question.refresh_from_db()
    if file_sha256(question) != shown:
        return "yes"
    return "if noted" if noted and noted != shown else "no"


def seen_by_recount() -> str:
    try:
        call_command("recount", stdout=io.StringIO())
    except CommandError:
        return "yes"
    return "no"


def test_the_table_has_every_change():
    assert {change for change, *_ in TABLE} == set(CHANGES)
    assert len(TABLE) == 2 * len(CHANGES) - 1


@pytest.mark.parametrize("change, when, receipt, fingerprint, recount", TABLE, ids=str)
def test_the_table_is_true(
    client, ask, change, when, receipt, fingerprint, recount
) -> None:
    question = ask("Lunch?", "Soup", "Rice", "Cake", kind=Kind.RANKED)
    voted(question, "12", "2", "31")
    ballot, noted = Ballot.objects.get(voter_key=VOTER), ""
    if when == "after it":
        question.close()
        noted = client.get(f"/polls/{question.pk}/results/").context["fingerprint"]
    page = client.get(f"/r/{ballot.receipt}/").text
    CHANGES[change](question)
    question.close()
    seen = (
        seen_by_receipt(client, ballot.receipt, page),
        seen_by_fingerprint(client, question, noted),
        seen_by_recount(),
    )
    assert seen == (receipt, fingerprint, recount)

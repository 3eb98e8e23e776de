import io
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from polls.counting.ballots_csv import fingerprint
from polls.kinds import Kind
from polls.models import Ballot, Choice, Mark, RankingTotal
from polls.retention import delete_ballots
from polls.voting.cast import cast
from tests.support.ballots import fetch_ballots, voted
from tests.support.servers import ROOT


@pytest.fixture
def counted(question):
    for n in range(3):
        cast(question, f"{n:032}", [question.choice_set.first().pk])
    return question


def recount(*words: object) -> str:
    out = io.StringIO()
    call_command("recount", *words, stdout=out)
    return out.getvalue()


def test_it_works(counted):
    assert recount().startswith("Questions: 1. Ballots: 3. Totals that differ: 0. ")


def test_it_finds_a_total_that_was_changed(counted):
    Choice.objects.filter(choice_text="Red").update(votes=5)
    with pytest.raises(CommandError, match="does not add up"):
        recount()
    assert Choice.objects.get(choice_text="Red").votes == 5


def test_it_names_the_difference(counted, capsys):
    Choice.objects.filter(choice_text="Blue").update(votes=2, revision=1)
    with pytest.raises(CommandError):
        call_command("recount")
    assert "'Blue': the total says 2, the ballots say 0." in capsys.readouterr().out


def test_it_finds_a_ballot_that_was_taken_away(counted):
    ballot = Ballot.objects.first()
    Mark.objects.filter(ballot=ballot).delete()
    with pytest.raises(CommandError):
        recount()
    ballot.delete()
    with pytest.raises(CommandError):
        recount()


def test_it_finds_a_ballot_marked_for_another_question(counted, ask):
    other = ask("Which number?", "One").choice_set.get()
    Mark.objects.filter(ballot=Ballot.objects.first()).update(choice=other)
    Choice.objects.filter(choice_text="Red").update(votes=2)
    Choice.objects.filter(pk=other.pk).update(votes=1, revision=1)
    with pytest.raises(CommandError):
        recount()


def test_it_repairs_when_told_to(counted):
    Choice.objects.filter(choice_text="Red").update(votes=5)
    Choice.objects.filter(choice_text="Blue").update(votes=1, revision=1)
    assert "Totals that differ: 2 (repaired)." in recount("--repair")
    assert "Totals that differ: 0." in recount()
    assert Choice.objects.get(choice_text="Red").votes == 3


def test_a_repair_moves_only_what_differs(counted):
    Choice.objects.filter(choice_text="Red").update(votes=5)
    recount("--repair")
    revisions = Choice.objects.order_by("id").values_list("revision", flat=True)
    assert list(revisions) == [4, 0]


def test_a_repair_promises_nothing_where_nobody_has_voted(lunch, ask):
    other = ask("Dinner?", "Soup", "Rice", kind=Kind.RANKED)
    RankingTotal.objects.create(question=other, choices="1", ballots=2)
    assert "Totals that differ: 1 (repaired)." in recount("--repair")
    assert not other.has_been_voted_on


def test_it_takes_one_question(counted, ask):
    sound = ask("Sound?", "Yes")
    Choice.objects.filter(choice_text="Red").update(votes=5)
    assert "Questions: 1. Ballots: 0." in recount(sound.pk)
    with pytest.raises(CommandError):
        recount(counted.pk)


def test_it_rejects_a_question_that_is_not_there(db):
    with pytest.raises(CommandError, match="There is no question 999."):
        recount(999)


@pytest.fixture
def lunch(ask):
    """Soup and Rice are equal in each round; Air is on no ballot."""
    question = ask("Lunch?", "Soup", "Air", "Rice", "Cake", kind=Kind.RANKED)
    return voted(question, "134", "314", "43", "4")


def test_it_finds_a_ranking_that_was_changed(lunch):
    RankingTotal.objects.filter(pk=RankingTotal.objects.first().pk).update(ballots=3)
    with pytest.raises(CommandError, match="does not add up"):
        recount()
    assert "Totals that differ: 1 (repaired)." in recount("--repair")
    assert "Totals that differ: 0." in recount()


def test_it_finds_a_ranking_without_ballots_and_ballots_without_a_ranking(lunch):
    RankingTotal.objects.filter(ballots=1).first().delete()
    RankingTotal.objects.create(question=lunch, choices="1", ballots=2)
    assert "Totals that differ: 2 (repaired)." in recount("--repair")
    assert "Totals that differ: 0." in recount()


def test_it_finds_a_wrong_number_of_ballots(lunch):
    Choice.objects.filter(choice_text="Cake").update(first_marks=5)
    assert "begin with it says 5, the ballots say 2." in recount("--repair")
    assert "Totals that differ: 0." in recount()


@pytest.mark.parametrize("ranks", [{2: 3}, {1: 0}, {1: 9}], ids=str)
def test_it_finds_gaps_between_ranks(lunch, ranks):
    marks = Mark.objects.filter(ballot=Ballot.objects.get(voter_key="0" * 32))
    for rank, moved in ranks.items():
        marks.filter(rank=3).delete()
        marks.filter(rank=rank).update(rank=moved)
    with pytest.raises(CommandError):
        recount("--repair")


def test_it_leaves_alone_a_question_whose_ballots_were_deleted(counted):
    counted.close()
    delete_ballots(counted)
    assert "its ballots were deleted on" in recount("--repair")
    assert Choice.objects.get(choice_text="Red").votes == 3


def test_it_finds_other_ballots_than_those_of_the_fingerprint(counted):
    counted.close()
    assert fingerprint(counted)
    Ballot.objects.filter(pk=Ballot.objects.first().pk).update(receipt="0" * 12)
    with pytest.raises(CommandError, match="does not add up"):
        recount("--repair")


def test_it_prints_the_count_of_one_question(counted, lunch):
    assert "Ballots: 3\nVotes: 1. Red: 3; 2. Blue: 0\n" in recount(counted.pk)
    assert recount(lunch.pk).splitlines()[-6:] == [
        "Ballots: 4",
        "Round 1: 1. Soup: 1; 2. Air: 0; 3. Rice: 1; 4. Cake: 2; exhausted: 0",
        "Round 2: 1. Soup: 1; 3. Rice: 1; 4. Cake: 2; exhausted: 0",
        "Round 3: 1. Soup: 2; 4. Cake: 2; exhausted: 0",
        "Round 4: 4. Cake: 4; exhausted: 0",
        "Elected: 4. Cake",
    ]


def run_script(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", ROOT / "docs" / "recount.py", *words]
    return subprocess.run(command, capture_output=True, text=True)


def comparable(said: str, texts: list[str]) -> list[str]:
    """Leave out choices that are on no ballot, and the rounds in which they go out."""
    count = said.rpartition("\nBallots: ")[2].splitlines()
    bodies = [line.partition(": ")[2] for line in count]
    kept = [
        "; ".join(part for part in body.split("; ") if any(t in part for t in texts))
        for body in bodies[1:]
    ]
    return [count[0], *dict.fromkeys(kept)]


@pytest.mark.server
@pytest.mark.parametrize(
    "kind, ballots",
    [
        ("one", ["1", "3", "3"]),
        ("several", ["13", "3", "134", "4"]),
        ("ranked", ["1", "3", "4", "13", "31"]),
        ("ranked", ["134", "314", "43", "4", "1"]),
        ("ranked", ["13", "31", "4"]),
        ("ranked", ["1", "3"]),
        ("ranked", []),
    ],
    ids=str,
)
def test_the_file_alone_gives_the_count_of_the_results_page(
    client, ask, tmp_path, kind, ballots
):
    question = ask("Lunch?", "Soup", "Air", "=Rice", 'Cake, "new"', kind=kind)
    voted(question, *ballots).close()
    path = tmp_path / "ballots.csv"
    path.write_bytes(fetch_ballots(client, question).content)
    page = client.get(f"/polls/{question.pk}/results/")
    said = run_script(path).stdout
    assert said.startswith(
        f"SHA-256: {page.context['fingerprint']}\nBallots: {len(ballots)}\n"
    )
    file = path.read_text()
    texts = [t for t in ("Soup", "Air", "Rice", "Cake") if t in file]
    shown = recount(question.pk)
    assert comparable(said, [*texts, "exhausted"]) == comparable(
        shown, [*texts, "exhausted"]
    )
    elected = page.context["tally"]["elected"]
    name = elected and Choice.objects.get(pk=elected).choice_text
    assert said.partition("Elected: ")[2][3:-1] == (name or "")


@pytest.mark.server
@pytest.mark.once
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"name,age\nAda,36\n",
        b"choice_id,choice,votes,percent\n1,Red,2,66.7\n",
        b"receipt,choice 1\n\n",
        b"receipt,choice 1\nAAAA-AAAA-AAAA,Red\n",
        "receipt,choice 1\nAAAA-AAAA-AAAA,1. Café\n".encode("latin-1"),
        "receipt,choice 1\n".encode("utf-16"),
        bytes(range(256)),
    ],
    ids=str,
)
def test_the_script_says_that_a_file_is_another_one(tmp_path, data):
    path = tmp_path / "ballots.csv"
    path.write_bytes(data)
    ended = run_script(path)
    sentence = f"{path} is no ballots.csv. Name one as the results page gives it.\n"
    assert (ended.returncode, ended.stderr) == (1, sentence)


@pytest.mark.server
@pytest.mark.once
def test_the_script_requires_a_file(tmp_path):
    for words, sentence in [
        ([], "Name a file: "),
        ([tmp_path], f"{tmp_path} is no ballots.csv. "),
        ([tmp_path / "none.csv"], f"{tmp_path / 'none.csv'} is no ballots.csv. "),
    ]:
        ended = run_script(*words)
        assert ended.returncode == 1 and ended.stderr.startswith(sentence)
        assert ended.stderr.count("\n") == 1

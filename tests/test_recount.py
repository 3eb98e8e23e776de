import io

import pytest
from django.core.management import CommandError, call_command

from polls.models import Ballot, Choice, Mark


@pytest.fixture
def counted(colours):
    for n in range(3):
        colours.cast(f"{n:032}", [colours.choice_set.first().pk])
    return colours


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
    Choice.objects.filter(choice_text="Blue").update(votes=2)
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
    Choice.objects.filter(pk=other.pk).update(votes=1)
    with pytest.raises(CommandError):
        recount()


def test_it_repairs_when_told_to(counted):
    Choice.objects.filter(choice_text="Red").update(votes=5)
    Choice.objects.filter(choice_text="Blue").update(votes=1)
    assert "Totals that differ: 2 (repaired)." in recount("--repair")
    assert "Totals that differ: 0." in recount()
    assert Choice.objects.get(choice_text="Red").votes == 3


def test_it_takes_one_question(counted, ask):
    sound = ask("Sound?", "Yes")
    Choice.objects.filter(choice_text="Red").update(votes=5)
    assert "Questions: 1. Ballots: 0." in recount(sound.pk)
    with pytest.raises(CommandError):
        recount(counted.pk)


def test_it_rejects_a_question_that_is_not_there(db):
    with pytest.raises(CommandError, match="There is no question 999."):
        recount(999)

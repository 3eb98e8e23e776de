"""A database of an earlier version, migrated: every vote, receipt and right is still there."""

from collections.abc import Callable, Iterator

import pytest
from django.apps.registry import Apps
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.models import Model
from django.utils import timezone

from polls.models import Question
from tests.support.ballots import assert_count_adds_up

LATEST = "0017_one_index_of_receipts"
Migrate = Callable[[str], Apps]

KEY, RECEIPT = "5" * 32, "0123456789AB"


@pytest.fixture
def migrate(transactional_db: None) -> Iterator[Migrate]:
    """Return the one who migrates, and returns the models of that time."""

    def migrate(name: str) -> Apps:
        executor = MigrationExecutor(connection)
        return executor.migrate([("polls", name)]).apps

    yield migrate
    migrate(LATEST)


def ask(old: Apps, **fields: object) -> Model:
    question = old.get_model("polls", "Question")
    return question.objects.create(question_text="Which tea?", **fields)


def vote(old: Apps, question: Model) -> None:
    """Write one ballot, second choice first, with all that goes with it."""
    models = (old.get_model("polls", name) for name in ("Ballot", "Mark", "Ranking"))
    ballots, marks, rankings = (model.objects for model in models)
    ballot = ballots.create(question=question, voter=KEY, receipt=RECEIPT)
    choices = question.choice_set
    green = choices.create(choice_text="Green", votes=0, ballots=0, moves=1)
    black = choices.create(choice_text="Black", votes=1, ballots=1, moves=1)
    for rank, choice in enumerate((black, green), 1):
        marks.create(ballot=ballot, choice=choice, rank=rank)
    ranking = f"{black.pk},{green.pk}"
    rankings.create(question=question, choices=ranking, ballots=1)


def test_it_keeps_every_vote_when_columns_get_other_names(migrate, client):
    old = migrate("0009_salt_without_votes")
    asked = ask(old, kind="ranked", voters="codes", voter_salt="s" * 32)
    vote(old, asked)
    invitations = old.get_model("polls", "Invitation").objects
    invitations.create(question=asked, number=1, voter=KEY)
    migrate(LATEST)
    question = Question.objects.get(pk=asked.pk)
    assert assert_count_adds_up(question) == 1
    assert question.voter_salt == "s" * 32
    assert question.own_ballot(KEY).receipt == RECEIPT
    assert question.invitation_set.valid(KEY)
    assert "Which tea?" in client.get(f"/r/{RECEIPT}/").text


def test_it_makes_salts_where_nobody_has_voted(migrate):
    """An earlier purge erased them there too."""
    old = migrate("0008_forget_in_statistics")
    voted, unvoted, deleted = ask(old), ask(old), ask(old)
    vote(old, voted)
    questions = old.get_model("polls", "Question").objects
    questions.update(voter_salt="")
    questions.filter(pk=deleted.pk).update(ballots_deleted_at=timezone.now())
    migrate(LATEST)
    salts = dict(Question.objects.values_list("pk", "voter_salt"))
    assert (salts[voted.pk], salts[deleted.pk]) == ("", "")
    assert len(salts[unvoted.pk]) == 32


def test_permissions_have_the_name_of_what_they_are_for(migrate):
    """But for those that somebody has named."""
    permissions = migrate("0015_secret_of_a_poll").get_model("auth", "Permission")
    own = permissions.objects.filter(content_type__app_label="polls")
    own.filter(codename="add_question").update(name="Can add question")
    own.filter(codename="view_question").update(name="May look")
    migrate(LATEST)
    assert own.get(codename="add_question").name == "Can add poll"
    assert own.get(codename="view_question").name == "May look"


def last_migrations(number: int) -> list[str]:
    """Return the names of so many, the newest last."""
    names = sorted(n for a, n in MigrationLoader(None).disk_migrations if a == "polls")
    assert names[-1] == LATEST
    return names[-number:]


def write_everywhere(old: Apps) -> Model:
    """Write a row of each table, as code of that time does, which names all columns that it knows; return the question."""
    models = {
        model.__name__: model for model in old.get_app_config("polls").get_models()
    }
    question = ask(old, kind="ranked", voters="codes", voter_salt="s" * 32)
    ballot = question.ballot_set.create(voter_key=KEY, receipt=RECEIPT)
    ranking = []
    for rank, text in enumerate(("Black", "Green"), 1):
        choice = question.choice_set.create(choice_text=text)
        choice.votes = choice.first_marks = int(rank == 1)
        choice.revision = 1
        choice.save()
        models["Mark"].objects.create(ballot=ballot, choice=choice, rank=rank)
        ranking.append(str(choice.pk))
    totals = models["RankingTotal"].objects
    totals.create(question=question, choices=",".join(ranking), ballots=1)
    question.invitation_set.create(number=1, voter_key=KEY)
    for name, model in models.items():
        assert list(model.objects.all()), f"Write a row of {name}, too."
    return question


@pytest.mark.parametrize("before", last_migrations(4)[:-1])
def test_code_of_any_of_the_last_three_states_goes_on_beside_the_new_one(
    migrate, before
):
    old = migrate(before)
    migrate(LATEST)
    question = Question.objects.get(pk=write_everywhere(old).pk)
    assert assert_count_adds_up(question) == 1
    assert question.own_ballot(KEY).receipt == RECEIPT
    assert question.invitation_set.valid(KEY)


@pytest.mark.django_db
def test_each_ballot_writes_one_index_of_its_receipt():
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, "polls_ballot")
    indexes = [each for each in found.values() if each["index"] or each["unique"]]
    assert [each["columns"] for each in indexes].count(["receipt"]) == 1

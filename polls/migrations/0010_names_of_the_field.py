"""Columns get the names that their field has; no row is written.

Databases rename a column in their constraints too, so that these change in Django's state alone.
"""

from django.db import migrations, models
from django.db.models import Q

RENAMED = [
    (
        "ballot",
        models.UniqueConstraint(
            fields=["question", "voter_key"], name="polls_ballot_one_a_voter"
        ),
    ),
    (
        "invitation",
        models.UniqueConstraint(
            fields=["question", "voter_key"], name="polls_invitation_one_a_voter"
        ),
    ),
    (
        "choice",
        models.CheckConstraint(
            condition=Q(first_marks__gte=0), name="polls_choice_ballots_not_negative"
        ),
    ),
    (
        "choice",
        models.CheckConstraint(
            condition=Q(votes=0, first_marks=0) | Q(revision__gt=0),
            name="polls_choice_totals_are_counted",
        ),
    ),
]


class Migration(migrations.Migration):
    dependencies = [("polls", "0009_salt_without_votes")]

    operations = [
        migrations.RenameField("choice", "moves", "revision"),
        migrations.RenameField("choice", "ballots", "first_marks"),
        migrations.RenameField("ballot", "voter", "voter_key"),
        migrations.RenameField("invitation", "voter", "voter_key"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                operation
                for model, constraint in RENAMED
                for operation in (
                    migrations.RemoveConstraint(model, constraint.name),
                    migrations.AddConstraint(model, constraint),
                )
            ]
        ),
        # The table keeps its name.
        migrations.AlterModelTable("ranking", "polls_ranking"),
        migrations.RenameModel("Ranking", "RankingTotal"),
    ]

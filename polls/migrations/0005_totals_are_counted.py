from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def have_moved(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    # Votes from before moves were counted, or a total that was written by hand: recount says whether it is right.
    choices = apps.get_model("polls", "Choice").objects.filter(moves=0)
    choices.exclude(votes=0, ballots=0).update(moves=1)


class Migration(migrations.Migration):
    dependencies = [("polls", "0004_count_ballots")]
    operations = [
        migrations.RunPython(have_moved, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="choice",
            constraint=models.CheckConstraint(
                condition=models.Q(("ballots", 0), ("votes", 0))
                | models.Q(("moves__gt", 0)),
                name="polls_choice_totals_are_counted",
            ),
        ),
    ]

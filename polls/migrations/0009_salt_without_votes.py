"""An earlier purge erased the salt of closed polls on which nobody had voted, and which could be opened again."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.utils.crypto import get_random_string


def make_salts(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    questions = apps.get_model("polls", "Question").objects
    erased = questions.filter(voter_salt="", ballots_deleted_at=None)
    voted_on = questions.filter(choice__moves__gt=0)
    for question in erased.filter(ballot=None).exclude(pk__in=voted_on.values("pk")):
        question.voter_salt = get_random_string(32)
        question.save(update_fields=["voter_salt"])


class Migration(migrations.Migration):
    dependencies = [("polls", "0008_forget_in_statistics")]

    operations = [migrations.RunPython(make_salts, migrations.RunPython.noop)]

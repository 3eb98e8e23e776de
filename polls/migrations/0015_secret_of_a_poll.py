"""A poll keeps the secret that it began with. Until now there was one: the site's, or the oldest, if it changes with this."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

import polls.secret


def name_secret(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    questions = apps.get_model("polls", "Question").objects
    questions.update(secret_name=polls.secret.names()[-1])


class Migration(migrations.Migration):
    dependencies = [("polls", "0014_names_for_translation")]

    operations = [
        migrations.AddField(
            model_name="question",
            name="secret_name",
            field=models.CharField(
                blank=True,
                db_default="",
                default=polls.secret.current,
                editable=False,
                max_length=16,
            ),
        ),
        migrations.RunPython(name_secret, migrations.RunPython.noop),
    ]

"""The admin speaks of polls, as the pages do. No table changes: names, and those of permissions that Django has made."""

import polls.poll_language
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def name_permissions(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Rename those that still have Django's name."""
    permissions = apps.get_model("auth", "Permission").objects
    own = permissions.filter(content_type__app_label="polls")
    for action in ("add", "change", "delete", "view"):
        old = own.filter(codename=f"{action}_question", name=f"Can {action} question")
        old.update(name=f"Can {action} poll")


class Migration(migrations.Migration):

    dependencies = [
        ("polls", "0015_secret_of_a_poll"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="question",
            options={"verbose_name": "poll", "verbose_name_plural": "polls"},
        ),
        migrations.AlterField(
            model_name="question",
            name="language",
            field=models.CharField(
                blank=True,
                choices=polls.poll_language.languages,
                db_default="",
                default="",
                help_text="What the question and the choices are written in, so that they are read aloud rightly. Not said: they are read as if in the visitor's own language, in which the words around them are.",
                max_length=10,
                verbose_name="language of the poll",
            ),
        ),
        migrations.AlterConstraint(
            model_name="question",
            name="polls_question_closes_after_opening",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("closes_at__isnull", True),
                    ("closes_at__gte", models.F("pub_date")),
                    _connector="OR",
                ),
                name="polls_question_closes_after_opening",
                violation_error_message="The poll would close before it opens: choose a later moment for “Closes”.",
            ),
        ),
        migrations.RunPython(name_permissions, migrations.RunPython.noop),
    ]

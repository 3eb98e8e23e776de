"""PostgreSQL keeps samples of every column for its planner, in which what was erased could be read for long."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.utils import timezone

# The planner does without: nobody looks for rows by these, or they are unique.
UNSAMPLED = {
    "polls_question": ["voter_salt"],
    "polls_ballot": ["receipt", "cast_at", "changed_at"],
    "polls_invitation": ["made_at", "voided_at"],
    "auth_user": ["password", "last_login"],
    "django_session": ["session_key", "session_data", "expire_date"],
}
# Of these it must know that they are as good as unique: it keeps the first and the last, until a purge.
HARDLY_SAMPLED = {"polls_ballot": ["voter"], "polls_invitation": ["voter"]}


def sample(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    for target, tables in ((0, UNSAMPLED), (1, HARDLY_SAMPLED)):
        for table, columns in tables.items():
            changes = [f"ALTER {column} SET STATISTICS {target}" for column in columns]
            schema_editor.execute(f"ALTER TABLE {table} {', '.join(changes)}")


class Migration(migrations.Migration):
    dependencies = [
        ("polls", "0007_organisers"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(sample, migrations.RunPython.noop),
        # The database has no default for it: no table need be written anew.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="ballot",
                    name="cast_at",
                    field=models.DateTimeField(default=timezone.now),
                )
            ]
        ),
    ]

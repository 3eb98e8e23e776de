from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def drop_index(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Drop what Django makes on PostgreSQL for LIKE 'ABC%': nobody looks for a part of a receipt, and each vote wrote it."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "DROP INDEX CONCURRENTLY IF EXISTS polls_ballot_receipt_ecce5e9c_like"
        )


class Migration(migrations.Migration):
    # Votes go on meanwhile, which PostgreSQL does outside of a transaction alone.
    atomic = False

    dependencies = [
        ("polls", "0016_polls_by_name"),
    ]

    operations = [
        migrations.RunPython(drop_index, migrations.RunPython.noop),
    ]

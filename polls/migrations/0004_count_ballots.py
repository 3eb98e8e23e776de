from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F, Value
from django.db.models.functions import Replace


def carry_over(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    # Until here every ballot had one mark.
    apps.get_model("polls", "Choice").objects.update(ballots=F("votes"))
    # Receipts, which no page had shown, had an L and no 0. Now whoever reads 1 as L is understood.
    receipt = Replace("receipt", Value("L"), Value("0"))
    apps.get_model("polls", "Ballot").objects.update(receipt=receipt)


class Migration(migrations.Migration):
    dependencies = [("polls", "0003_promises")]
    operations = [migrations.RunPython(carry_over, migrations.RunPython.noop)]

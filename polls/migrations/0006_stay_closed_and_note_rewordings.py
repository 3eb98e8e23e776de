from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F
from django.utils import timezone


def keep_closed(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    questions = apps.get_model("polls", "Question").objects
    closed = questions.filter(closes_at__lte=timezone.now())
    closed.update(closed_at=F("closes_at"))


class Migration(migrations.Migration):
    dependencies = [("polls", "0005_totals_are_counted")]
    operations = [
        migrations.AddField(
            model_name="question",
            name="closed_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="question",
            name="rewordings",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.RunPython(keep_closed, migrations.RunPython.noop),
    ]

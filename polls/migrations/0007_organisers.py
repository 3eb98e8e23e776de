from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def make_group(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make a group of those who run polls. One of that name that is there already stays as it is."""
    group, is_new = apps.get_model("auth", "Group").objects.get_or_create(
        name="Organisers"
    )
    if not is_new:
        return
    # Django makes these after all migrations, and leaves those that are there.
    types = apps.get_model("contenttypes", "ContentType").objects
    question, _ = types.get_or_create(app_label="polls", model="question")
    for action in ("add", "change", "delete", "view"):
        permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
            content_type=question,
            codename=f"{action}_question",
            defaults={"name": f"Can {action} question"},
        )
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("polls", "0006_stay_closed_and_note_rewordings"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make_group, migrations.RunPython.noop)]

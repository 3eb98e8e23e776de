from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("polls", "0011_language_of_the_poll")]

    operations = [
        migrations.AddField(
            model_name="question",
            name="may_embed",
            field=models.BooleanField(
                "other sites may show the results",
                db_default=False,
                default=False,
                help_text="In a frame on their own pages, as far as everyone sees them, with a link to vote here.",
            ),
        )
    ]

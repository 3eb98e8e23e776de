"""make messages: take the texts of the site into the catalogs of its languages, and compile them."""

import os
import re
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.commands import makemessages
from django.utils.translation import to_locale

FOLDER = Path(apps.get_app_config("polls").path)
# The texts themselves are in English.
LOCALES = [to_locale(code) for code, _ in settings.LANGUAGES if code != "en"]
# It would be another line in each catalog every time.
DATE = re.compile(rb'^"POT-Creation-Date: .*\n', re.MULTILINE)


class Command(makemessages.Command):
    help = __doc__
    # What has changed is translated anew: a guess would be taken for a translation.
    msgmerge_options = [
        *makemessages.Command.msgmerge_options,
        "--no-fuzzy-matching",
    ]

    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.set_defaults(
            locale=LOCALES,
            extensions=["html", "py", "svg"],
            ignore_patterns=["locale", "migrations"],
            no_wrap=True,
            no_obsolete=True,
            add_location="file",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        os.chdir(FOLDER)
        super().handle(*args, **options)
        for locale in LOCALES:
            catalog = FOLDER / "locale" / locale / "LC_MESSAGES" / "django.po"
            catalog.write_bytes(DATE.sub(b"", catalog.read_bytes()))
        call_command("compilemessages", locale=LOCALES, verbosity=0)

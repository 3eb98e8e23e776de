#!/usr/bin/env python
"""Django's command line for this site: python manage.py help."""

import os
import sys

from django.conf import settings
from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError

# These serve people, who do not wait for ever. Whoever gives another command has all the time that it takes.
SERVERS = {"runserver", "testserver"}

NOBODY_ANSWERS = (
    "asks for something, and there is no terminal to answer at. Run it at one (ssh -t, docker exec -it), or pipe the "
    "answers in, a line each, a password twice."
)


class CommandLine(ManagementUtility):
    def fetch_command(self, subcommand: str) -> BaseCommand:
        if subcommand not in SERVERS:
            settings.DATABASES["default"]["IS_LIMITED"] = False
        if subcommand == "test":
            # Whatever the site is set to: Django's client asks over plain http, and the tests read English.
            settings.SECURE_SSL_REDIRECT = False
            settings.LANGUAGE_CODE = "en"
        return super().fetch_command(subcommand)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polls.settings")
    try:
        CommandLine(sys.argv).execute()
    except EOFError:
        # Below the prompt of what has asked.
        sys.exit(f"\n{' '.join(sys.argv)} {NOBODY_ANSWERS}")
    except DatabaseError as error:
        from polls.serving.first_run import why_unusable

        sentence = why_unusable(error)
        if not sentence or "--traceback" in sys.argv:
            raise
        sys.exit(sentence)

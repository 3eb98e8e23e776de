#!/usr/bin/env python
"""Django's command line for this site: python manage.py help."""

import os
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError, ProgrammingError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polls.settings")
    # Who waits for a command has all the time that it takes: see settings.py.
    os.environ["POLLS_COMMAND"] = "1"
    try:
        execute_from_command_line(sys.argv)
    except (OperationalError, ProgrammingError) as error:
        from polls.first_run import explain

        sys.exit(explain(error))

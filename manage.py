#!/usr/bin/env python
"""Django's command line for this site: python manage.py help."""

import os
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polls.settings")
    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        reason = " ".join(str(error).split())
        sys.exit(f"The database cannot be used ({reason}). Check DATABASE_URL.")

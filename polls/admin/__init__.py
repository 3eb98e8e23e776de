# Django's admin looks here for what is registered.
from . import question as question

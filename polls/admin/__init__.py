# Django's admin looks here for what is registered.
from . import accounts as accounts
from . import question as question

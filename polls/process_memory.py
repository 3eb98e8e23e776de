"""Whether this process may keep in its memory what it has read: a server may, a test may not."""

from django.core import mail

# In Django's test environment each test has a database of its own, of which the next one must find nothing. A test of
# what is kept sets this.
KEPT_IN_TESTS = False


def keeps() -> bool:
    """Tell whether this process may keep what it has read. Only Django's test environment has an outbox for mail."""
    return KEPT_IN_TESTS or not hasattr(mail, "outbox")

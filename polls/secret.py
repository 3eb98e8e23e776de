"""The secret that signs cookies and makes voter keys: where it is kept."""

from django.conf import settings

from . import env


def place() -> str:
    """Say where the secret is, for whoever keeps a copy of it."""
    path = env.text("SECRET_KEY_FILE")
    if path:
        return f"the file {path}"
    if env.text("SECRET_KEY"):
        return "the variable SECRET_KEY"
    return f"the file {settings.DATA_DIR / 'secret_key'}"

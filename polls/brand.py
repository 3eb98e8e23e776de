"""What an operator gives the site of its own: a colour and a logo, which are served with the static files."""

from pathlib import Path

from django.conf import settings

from . import accent

# The stylesheets that have the accent.
STYLES = {"polls/style.css": accent.stylesheet, "polls/admin.css": accent.admin_rules}


def logo_name() -> str:
    """Return the name of the logo among the static files; empty where there is none."""
    logo: Path | None = settings.SITE_LOGO
    return f"brand/logo{logo.suffix.lower()}" if logo else ""


def files() -> dict[str, str]:
    """Return the paths of static files that no finder knows, by name."""
    return {logo_name(): str(settings.SITE_LOGO)} if settings.SITE_LOGO else {}


def added_to(name: str) -> bytes:
    """Return what this static file ends with: a stylesheet with the colour, so that it takes no request of its own."""
    if name not in STYLES or not settings.ACCENT_COLOUR:
        return b""
    return STYLES[name](settings.ACCENT_COLOUR).encode()

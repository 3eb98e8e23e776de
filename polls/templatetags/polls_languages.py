import functools

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from ..serving.languages import NAMES

register = template.Library()


@functools.cache
def _buttons(current: str) -> SafeString:
    """Render them once: they stand on every page."""
    here = format_html(' aria-current="{}"', "true")
    return format_html_join(
        "\n",
        '<button class="link" type="submit" name="language" value="{}" lang="{}"{}>{}</button>',
        (
            (code, code, here if code == current else "", name)
            for code, name in NAMES.items()
        ),
    )


@register.simple_tag
def language_buttons() -> SafeString:
    """Return a button for each language, under its own name."""
    return _buttons(get_language() or "")


@register.simple_tag
def language_name() -> str:
    """Return the own name of the page's language."""
    return NAMES[get_language() or ""]

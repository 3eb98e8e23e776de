import functools

from django import template
from django.template.context import Context
from django.template.loader import render_to_string
from django.urls import get_script_prefix
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from ..serving.languages import NAMES

register = template.Library()

# Stands for the address of a page.
PAGE = "page-before"


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


@functools.lru_cache(maxsize=64)
def _chooser(language: str, prefix: str) -> tuple[SafeString, SafeString]:
    """Return what stands before and after the address of the page: the same on all pages of a language."""
    before, _, after = render_to_string("polls/_languages.html").partition(PAGE)
    return SafeString(before), SafeString(after)


@register.simple_tag(takes_context=True)
def language_chooser(context: Context) -> SafeString:
    """Return polls/_languages.html for the page of this request; error pages may have none."""
    request = context.get("request")
    before, after = _chooser(get_language() or "", get_script_prefix())
    return before + conditional_escape(request.path if request else "") + after


@register.simple_tag
def page_before() -> str:
    return PAGE

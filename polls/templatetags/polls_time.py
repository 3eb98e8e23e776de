"""Times on pages: without a script in the site's zone, which is named; static/polls/times.js writes them in the reader's."""

import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .. import phrases

register = template.Library()


@register.filter
def html_time(time: datetime.datetime) -> str:
    """Write a time for the attribute of a <time>, which takes no microseconds."""
    return time.isoformat(timespec="seconds")


@register.simple_tag
def moment(time: datetime.datetime) -> SafeString:
    """Return date and time as a <time>: `{% moment question.closes_at %}`, or `... as time` for a sentence around it."""
    return format_html(
        '<time datetime="{}">{}</time>', html_time(time), phrases.moment(time)
    )


@register.simple_tag
def closes(time: datetime.datetime) -> SafeString:
    """Return "Closes in 3 days", with date and time for whoever points at it."""
    return _about(time, phrases.closes(time))


@register.simple_tag
def opens(time: datetime.datetime) -> SafeString:
    """Return "Opens in 3 days", with date and time for whoever points at it."""
    return _about(time, phrases.opens(time))


@register.simple_tag
def day(time: datetime.datetime) -> SafeString:
    """Return the date, with date and time for whoever points at it."""
    return _about(time, phrases.day(time))


def _about(time: datetime.datetime, words: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        html_time(time),
        phrases.moment(time),
        words,
    )

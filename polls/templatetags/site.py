"""What stands around every page: the site's name and marks, and the way in for who has an account."""

from typing import NamedTuple

from django import template
from django.conf import settings
from django.template import Context

register = template.Library()


class Site(NamedTuple):
    name: str


@register.simple_tag
def site() -> Site:
    return Site("Polls")


@register.simple_tag(takes_context=True)
def account(context: Context) -> str:
    """Tell who looks at the page: "stranger", "account" or "organiser"; nothing where no request is known.

    Whoever has no session is a stranger: no query is spent on voters, and pages in memory are those of strangers.
    """
    request = context.get("request")
    if request is None:
        return ""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return "stranger"
    user = request.user
    if user.is_authenticated:
        return "organiser" if user.is_staff else "account"
    return "stranger"

"""What stands around every page: the site's name and marks, and the way in for who has an account."""

import functools
from typing import NamedTuple

from django import template
from django.conf import settings
from django.template import Context
from django.urls import get_script_prefix, reverse

from .. import brand
from ..audience import has_session

register = template.Library()


class Site(NamedTuple):
    """What the operator has set, and addresses that every page leads to."""

    name: str
    logo: str
    imprint: str
    polls: str
    receipts: str
    log_in: str
    organise: str


@register.simple_tag
def site() -> Site:
    """Return what all pages have. Error pages have it too, which are made without a request."""
    own = (settings.SITE_NAME, brand.logo_name(), settings.IMPRINT_URL)
    return Site(*own, *_addresses(get_script_prefix()))


@functools.cache
def _addresses(prefix: str) -> list[str]:
    """Look up the addresses once, not for each page."""
    names = ["polls:index", "polls:find_receipt", "login", "admin:index"]
    return [reverse(name) for name in names]


@register.simple_tag(takes_context=True)
def account(context: Context) -> str:
    """Tell who looks at the page: "stranger", "account" or "organiser"; nothing where no request is known.

    Whoever has no session is a stranger: no query is spent on voters, and pages in memory are those of strangers.
    """
    request = context.get("request")
    if request is None:
        return ""
    if not has_session(request):
        return "stranger"
    user = request.user
    if user.is_authenticated:
        return "organiser" if user.is_staff else "account"
    return "stranger"

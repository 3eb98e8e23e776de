"""The languages that a poll can be in, which are more than those of the site, and how HTML marks its texts with them."""

import functools
import unicodedata

from django.conf import settings
from django.conf.locale import LANG_INFO
from django.utils.html import format_html
from django.utils.safestring import SafeString


def languages() -> list[tuple[str, str]]:
    """Return the languages that a poll can be in, under their own names: first those of the site."""
    own = dict(settings.LANGUAGES)
    # HTML wants its letters composed, and Django has a name whose letters are not.
    others = {
        code: unicodedata.normalize("NFC", info["name_local"])
        for code, info in LANG_INFO.items()
        if "name_local" in info and code not in own
    }
    by_name = sorted(others.items(), key=lambda language: language[1].casefold())
    return [*own.items(), *by_name]


@functools.cache
def attributes(code: str) -> SafeString:
    """Return `lang` and `dir` of a text in this language; of one in no named language, its own direction."""
    if not code:
        return format_html('dir="{}"', "auto")
    is_rtl = LANG_INFO.get(code, {}).get("bidi")
    return format_html('lang="{}" dir="{}"', code, "rtl" if is_rtl else "ltr")

"""The secrets: the one that signs cookies and makes the voter keys of new polls, and older ones, which still hold.

A poll keeps the secret that it began with, so that its voters keep their keys: after a rotation a second vote is still a
change, and never a second ballot. The database has a short name of the secret, made so that it tells nothing of it.
"""

import functools
import hmac
import os
from collections.abc import Collection, Sequence
from contextlib import suppress

from django.conf import settings

from . import env
from .locks import file_lock, share_lock


@functools.cache
def _name(secret: str) -> str:
    return hmac.digest(secret.encode(), b"polls.secret", "sha256").hex()[:16]


def current() -> str:
    """Return the name of the secret of new polls."""
    return _name(settings.SECRET_KEY)


def names() -> list[str]:
    return [_name(secret) for secret in _all()]


def named(name: str) -> str:
    """Return the secret of this name; empty if it is not known any more."""
    if not name:
        # The poll was made by an earlier version, which knew of one secret.
        return settings.SECRET_KEY
    return next((secret for secret in _all() if _name(secret) == name), "")


def _all() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def is_kept_in_files() -> bool:
    return not (env.text("SECRET_KEY_FILE") or env.text("SECRET_KEY"))


def place() -> str:
    """Say where the secrets are, for whoever keeps a copy of them."""
    if is_kept_in_files():
        older = " and secret_key_fallbacks beside it" * settings.OLDER_KEPT.exists()
        return f"the file {settings.SECRET_KEPT}{older}"
    places = []
    for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        file = env.text(f"{name}_FILE")
        if file or env.text(name):
            places.append(f"the file {file}" if file else f"the variable {name}")
    return " and ".join(places)


def hold_newest() -> None:
    """Hold the file of the newest secret that this process has read: one that serves without the next holds up its use."""
    if not is_kept_in_files():
        return
    for path in (settings.NEXT_KEPT, settings.SECRET_KEPT):
        if set(_all()) & set(env.kept_secrets(path)):
            # Race: the next one may just have become the secret.
            with suppress(FileNotFoundError):
                return share_lock(str(path))


def make_next() -> bool:
    """Make the secret that is to be the next, and which all starts accept from now on; False if there is one."""
    if settings.NEXT_KEPT.exists():
        return False
    env.make_secret(settings.NEXT_KEPT)
    return True


def use_next() -> bool:
    """Let starts from now on use the next secret, and keep that of today among the older ones; False if there is none.

    Raises TimeoutError while a process serves that does not know it.
    """
    if not settings.NEXT_KEPT.exists():
        return False
    with file_lock(str(settings.SECRET_KEPT), timeout=0):
        used = env.kept_secrets(settings.SECRET_KEPT)
        older = env.kept_secrets(settings.OLDER_KEPT)
        # Killed between these two, the site has the secret of today in both files, and has lost none.
        _keep_older(list(dict.fromkeys(used + older)))
        os.replace(settings.NEXT_KEPT, settings.SECRET_KEPT)
    return True


def drop_older(needed: Collection[str]) -> tuple[int, int]:
    """Delete the older secrets whose names are not among these; return how many are kept, and how many went."""
    older = env.kept_secrets(settings.OLDER_KEPT)
    kept = [secret for secret in older if _name(secret) in needed]
    if older != kept:
        _keep_older(kept)
    return len(kept), len(older) - len(kept)


def _keep_older(older: Sequence[str]) -> None:
    text = "".join(f"{secret}\n" for secret in older)
    with env.draft(settings.OLDER_KEPT, text) as written:
        os.replace(written, settings.OLDER_KEPT)

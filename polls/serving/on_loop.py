"""Where a request is answered under ASGI: what its view says of it, if that is not a thread of the pool."""

import enum
from collections.abc import Callable

from asgiref.sync import iscoroutinefunction
from django.core import signals
from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.db import close_old_connections, reset_queries

from .decorators import MarkedView, View


class Place(enum.Enum):
    POOL = enum.auto()
    LOOP = enum.auto()
    OWN_THREAD = enum.auto()
    # Stock Django's handler.
    DJANGO = enum.auto()


class PlacedView(MarkedView):
    def __init__(self, place: Place, view: View) -> None:
        super().__init__(view)
        self.place = place


def may_run_on_loop(view: View) -> PlacedView:
    """Mark a view that is quick, and often needs no database but for a ballot."""
    return PlacedView(Place.LOOP, view)


def answers_in_own_thread(view: View) -> PlacedView:
    """Mark a view that one thread of its own answers, also while all threads of the pool wait for the database."""
    return PlacedView(Place.OWN_THREAD, view)


def place_of(view: Callable[..., object]) -> Place:
    """Return where this view is answered."""
    if isinstance(view, PlacedView):
        return view.place
    return Place.DJANGO if iscoroutinefunction(view) else Place.POOL


_DJANGOS_OWN = {
    id(receiver)
    for receiver in (reset_queries, close_old_connections, close_caches, reset_urlconf)
}


def others_listen() -> bool:
    """Tell whether anybody but Django hears of requests.

    What they do is theirs, and they may be asynchronous: each request is
    answered in a thread then, which calls them once.
    """
    # No any(): this is asked for each page from memory.
    for signal in (signals.request_started, signals.request_finished):
        for receiver in signal.receivers:
            if receiver[0][0] not in _DJANGOS_OWN:
                return True
    return False

"""One question that is watched: who watches it, as whom and in which view, and what they were sent last."""

import json

from ..audience import Right
from ..counting.numbers import Numbers
from ..promises import Audience, results_visible_to
from .server_stop import Message
from .viewer import View, Viewer, message_of

# Where results are hidden, rights are checked before each change is sent, and this often while nothing changes.
RECHECK = 1
# The comment is for proxies; scripts see only events, and miss this one when the network has gone.
BEAT = b":\nevent: beat\ndata: 1\n\n"


def last_event(reason: str) -> bytes:
    """The browser stops here: without this it would come back for more."""
    return f"event: end\ndata: {json.dumps({'reason': reason})}\n\n".encode()


def why_not(viewer: Viewer) -> bytes:
    return last_event("shown" if viewer.view.only_ballots else "hidden")


class Channel:
    """One watched question: who watches, and what they were sent last."""

    __slots__ = (
        "viewers",
        "newcomers",
        "tally",
        "events",
        "results",
        "state",
        "sent_at",
        "checked_at",
    )

    def __init__(self, now: float) -> None:
        self.viewers: set[Viewer] = set()
        # Stale read: they may have seen a newer tally from another worker, so they wait for a reading that begins
        # after they came.
        self.newcomers: set[Viewer] = set()
        self.tally: Numbers | None = None
        # What it is in each view that is watched.
        self.events: dict[View, bytes] = {}
        # Who sees results, by the last reading: the viewers are gone through only when that changes.
        self.results = self.state = ""
        self.checked_at = now
        # By view: those who see less are sent less.
        self.sent_at: dict[View, float] = {}

    def join(self, viewer: Viewer, now: float) -> None:
        self.viewers.add(viewer)
        self.sent_at.setdefault(viewer.view, now)
        event = self.events.get(viewer.view)
        if event and self._is_newer(viewer):
            viewer.push(message_of(event))
        else:
            self.newcomers.add(viewer)

    def _is_newer(self, viewer: Viewer) -> bool:
        """Tell whether what was sent last is at least what the viewer has seen; the number of ballots alone has no version."""
        if viewer.view.only_ballots or not self.tally:
            return False
        return self.tally["version"] >= viewer.known

    def rights_to_check(self, tally: Numbers, now: float) -> list[Right]:
        """Return by what right viewers see hidden results, when it is time to check that they still have it."""
        question = tally["question"]
        if results_visible_to(
            question["results"], question["state"], Audience.SPECTATOR
        ):
            return []
        if tally == self.tally and now - self.checked_at < RECHECK:
            return []
        self.checked_at = now
        return [viewer.right for viewer in self.viewers]

    def views_to_say(self, tally: Numbers) -> set[View]:
        """Return the views in which this tally is still to be said."""
        if tally != self.tally:
            return {viewer.view for viewer in self.viewers}
        # Whoever is no newcomer has been sent it.
        return {viewer.view for viewer in self.newcomers} - self.events.keys()

    def publish(
        self,
        tally: Numbers,
        said: dict[View, bytes],
        waiting: set[Viewer],
        now: float,
    ) -> None:
        """Send what has changed to all, and what has not to those who waited for this reading."""
        if tally["question"]["results"] != self.results:
            self._see(tally)
        if tally != self.tally:
            before, self.events, self.tally = self.events, said, tally
        else:
            before = self.events = self.events | said
        changed = {v for v, event in self.events.items() if event != before.get(v)}
        # Who came with a view that nobody had when the reading began waits for the next one.
        waiting = {viewer for viewer in waiting if viewer.view in self.events}
        self.newcomers -= waiting
        messages = {view: message_of(event) for view, event in self.events.items()}
        self._push(messages, self.viewers & waiting)
        if changed:
            rest = self.viewers - self.newcomers - waiting
            self._push({view: messages[view] for view in changed}, rest)
        self.sent_at |= dict.fromkeys(changed, now)

    def close(self, tally: Numbers, said: dict[View, bytes]) -> None:
        """Send the last tally to all who may see it, and end."""
        self._see(tally)
        last = last_event("closed")
        for viewer in self.viewers:
            viewer.end(said.get(viewer.view, b"") + last)

    def shows_to(self, viewer: Viewer) -> bool:
        """Tell whether this viewer gets more; who watches the number of ballots goes on to the results where they are open."""
        if not self.results:
            return True
        if viewer.view.only_ballots:
            return not self._shows_to(Audience.SPECTATOR) or self.state == "closed"
        return self._shows_to(viewer.right.audience)

    def _shows_to(self, audience: Audience) -> bool:
        return results_visible_to(self.results, self.state, audience)

    def _see(self, tally: Numbers) -> None:
        """Learn who sees results by this reading, and end the streams of the others."""
        self.results = tally["question"]["results"]
        self.state = tally["question"]["state"]
        self.dismiss({v for v in self.viewers if not self.shows_to(v)})

    def dismiss(self, viewers: set[Viewer]) -> None:
        """End the streams of those who may not see any more, and of those who may see more."""
        self.viewers -= viewers
        self.newcomers -= viewers
        for viewer in viewers:
            viewer.end(why_not(viewer))

    def beat(self, now: float, heartbeat: float) -> None:
        due = {view for view, at in self.sent_at.items() if now - at > heartbeat}
        if due:
            self.sent_at |= dict.fromkeys(due, now)
            self._push(dict.fromkeys(due, message_of(BEAT)), self.viewers)

    def end(self, event: bytes) -> None:
        for viewer in self.viewers:
            viewer.end(event)

    @staticmethod
    def _push(messages: dict[View, Message], viewers: set[Viewer]) -> None:
        for viewer in viewers:
            message = messages.get(viewer.view)
            if message:
                viewer.push(message)

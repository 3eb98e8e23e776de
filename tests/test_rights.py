"""Who loses the right to see hidden results is sent no more of them by a stream that is open."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.db import connections
from django.db.models import F
from django.test import Client
from django.utils import timezone

from polls.audience import SPECTATOR, LogIn, Right, lost_rights
from polls.models import Question
from polls.promises import Audience
from polls.serving import event_stream as live
from polls.serving.asgi_handler import Handler
from polls.voting.identity import make_codes

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Watcher:
    """Somebody's browser with an open stream, called as a server would call the site."""

    name: str
    client: Client
    question: Question
    sent: list[bytes] = field(default_factory=list)
    query: bytes = b""
    serving: asyncio.Task[None] | None = None

    def open(self, handler: Handler) -> None:
        pairs = "; ".join(f"{k}={m.value}" for k, m in self.client.cookies.items())
        headers = [(b"host", b"localhost"), (b"cookie", pairs.encode())]
        path = f"/polls/{self.question.pk}/live/"
        scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
        scope |= {"query_string": self.query, "http_version": "1.1"}
        messages = [{"type": "http.request"}]

        async def receive():
            return messages.pop() if messages else await asyncio.Event().wait()

        async def send(message):
            self.sent.append(message.get("body", b""))

        self.serving = asyncio.create_task(handler(scope, receive, send))

    async def sees(self, words: bytes) -> None:
        async with asyncio.timeout(10):
            while words not in b"".join(self.sent):
                await asyncio.sleep(0.01)

    async def ends(self) -> None:
        await asyncio.wait_for(self.serving, 10)
        assert b'{"reason": "hidden"}' in self.sent[-1], self.name


@pytest.fixture
def handler(handler: Handler) -> Iterator[Handler]:
    yield handler
    live.hub.thread.submit(connections.close_all).result()


def asked(ask, policy: str, voters: str = "anyone") -> Question:
    return ask(f"{policy}?", "Red", "Blue", results=policy, voters=voters)


def organiser(name: str, group: bool = False) -> Client:
    user, client = User.objects.create_user(name), Client()
    permission = Permission.objects.get(codename="view_question")
    if group:
        user.groups.add(Group.objects.create(name=name))
        user.groups.get().permissions.add(permission)
    else:
        user.user_permissions.add(permission)
    client.force_login(user)
    return client


def voter(name: str, question: Question) -> Client:
    client = Client()
    if question.voters == "accounts":
        client.force_login(User.objects.create_user(name))
    if question.voters == "codes":
        ((_, code),) = make_codes(question, 1)
        client.post(f"/polls/{question.pk}/code/", {"code": code})
    red = question.choice_set.first().pk
    path = f"/polls/{question.pk}/vote/"
    assert client.post(path, {"choice": red}).status_code == 302
    return client


def user(watcher: Watcher):
    return User.objects.filter(username=watcher.name)


def session(watcher: Watcher):
    return Session.objects.filter(pk=watcher.client.session.session_key)


LOG_IN_ENDS: dict[str, Callable[[Watcher], object]] = {
    "logs out": lambda one: one.client.post("/accounts/logout/"),
    "gets another password": lambda one: user(one).update(password="another"),
    "is deactivated": lambda one: user(one).update(is_active=False),
    "is deleted": lambda one: user(one).delete(),
    "has a session that expires": lambda one: session(one).update(
        expire_date=timezone.now()
    ),
}
WITHDRAWS = {
    "withdraws": lambda one: one.client.post(f"/polls/{one.question.pk}/withdraw/")
}
PERMISSION_GOES = {
    "loses the permission": lambda one: user(one).get().user_permissions.clear(),
    "leaves the group": lambda one: user(one).get().groups.clear(),
    "is in a group that loses it": lambda one: user(one)
    .get()
    .groups.get()
    .permissions.clear(),
    "logs out and it closes": lambda one: (
        LOG_IN_ENDS["logs out"](one),
        one.question.close(),
    ),
}


def people(ask) -> list[tuple[Watcher, Callable[[Watcher], object]]]:
    """Return one watcher for each policy and each way to lose the right, on a question of their own."""
    found = []
    for policy in ("voted", "closed", "organisers"):
        for what, lose in (LOG_IN_ENDS | PERMISSION_GOES).items():
            if policy != "organisers" and "closes" in what:
                continue
            name = f"organiser, {policy}, {what}"
            client = organiser(name, group="group" in what)
            found.append((Watcher(name, client, asked(ask, policy)), lose))
    for voters in ("anyone", "accounts", "codes"):
        ways = WITHDRAWS | (LOG_IN_ENDS if voters == "accounts" else {})
        for what, lose in ways.items():
            name = f"voter by {voters}, {what}"
            question = asked(ask, "voted", voters)
            found.append((Watcher(name, voter(name, question), question), lose))
    return found


def test_no_number_comes_after_the_right_has_gone(ask, handler):
    losers = people(ask)
    stayers = [
        Watcher("stays", organiser("stays"), asked(ask, "organisers")),
        Watcher("stays", voter("stayer", q := asked(ask, "voted", "accounts")), q),
    ]

    wrong: list[str] = []

    def lose_and_move(one: Watcher, lose: Callable[[Watcher], object]) -> int:
        """Return how much of the stream was there when the right had gone, and change the tally."""
        lose(one)
        before = len(one.sent)
        one.question.choice_set.update(votes=F("votes") + 7, revision=F("revision") + 1)
        return before

    async def scenario():
        watchers = [one for one, _ in losers] + stayers
        for one in watchers:
            one.open(handler)
        for one in watchers:
            await one.sees(b'"ballots"')
        before = [await sync_to_async(lose_and_move)(*loser) for loser in losers]
        for one in stayers:
            await sync_to_async(lose_and_move)(one, lambda one: None)
        await asyncio.wait([one.serving for one, _ in losers], timeout=5)
        told = [b"".join(one.sent[n:]) for (one, _), n in zip(losers, before)]
        for (one, _), text in zip(losers, told):
            if b'"ballots"' in text or b'{"reason": "hidden"}' not in text:
                wrong.append(one.name)
        for one in stayers:
            await one.sees(b'"votes": 7')
            assert not one.serving.done()

    async_to_sync(scenario)()
    assert len(losers) == 3 * 8 + 1 + 1 + 6 + 1
    assert not wrong


def test_it_ends_while_nothing_moves(ask, handler):
    one = Watcher("olga", organiser("olga"), asked(ask, "closed"))

    async def scenario():
        one.open(handler)
        await one.sees(b'"ballots"')
        await sync_to_async(LOG_IN_ENDS["logs out"])(one)
        await one.ends()

    async_to_sync(scenario)()


def test_the_wall_of_an_organiser_ends_when_others_may_not_see(ask, handler):
    question = asked(ask, "always")
    wall = Watcher("olga", organiser("olga"), question, query=b"as=spectator")

    async def scenario():
        wall.open(handler)
        await wall.sees(b'"ballots"')
        hide = Question.objects.filter(pk=question.pk).aupdate
        await hide(results="organisers")
        await wall.ends()

    async_to_sync(scenario)()


@pytest.mark.parametrize("number", [2, 300])
def test_it_takes_three_statements_however_many_watch(
    ask, number, django_assert_num_queries
):
    questions = [asked(ask, "voted"), asked(ask, "voted", "accounts")]
    log_in = LogIn("session", 1, b"")
    rights = [
        Right(Audience.VOTER, question, str(n), one)
        for n in range(number)
        for question, one in ((questions[0].pk, None), (questions[1].pk, log_in))
    ]
    with django_assert_num_queries(3):
        assert lost_rights([*rights, SPECTATOR]) == set(rights)


def test_spectators_are_not_asked_for(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert lost_rights([SPECTATOR] * 10) == set()

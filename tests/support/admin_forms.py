"""What an organiser's browser posts to the admin."""

from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any

from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from polls.models import Question

LIST = "/admin/polls/question/"


def staff(*actions: str) -> Client:
    """Log in somebody who may do these to questions: staff("add", "change")."""
    user = User.objects.create_user("-".join(actions) or "none", is_staff=True)
    names = [f"{action}_question" for action in actions]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def change_path(question: Question) -> str:
    return f"{LIST}{question.pk}/change/"


def form(
    text: str = "Which way?",
    choices: Iterable[str] = ("Left", "Right"),
    **more: object,
) -> dict[str, Any]:
    """Return what the page of a question posts: the question and its choices."""
    data = {
        "question_text": text,
        "choices": "\r\n".join(choices),
        "pub_date_0": timezone.now().date().isoformat(),
        "pub_date_1": "00:00:00",
        "closes_at_0": "",
        "closes_at_1": "",
        "kind": "one",
        "min_choices": "1",
        "max_choices": "",
        "voters": "anyone",
        "results": "always",
        "may_change": "on",
        "receipts": "on",
    }
    return data | more


class _FormReader(HTMLParser):
    """Collects what a browser would send of the page of a question as it was loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self._inside = False
        self._select = self._text = ""

    def handle_starttag(
        self, tag: str, attributes: list[tuple[str, str | None]]
    ) -> None:
        given = {name: value or "" for name, value in attributes}
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "form":
            self._inside = given.get("id") == "question_form"
        elif not self._inside:
            return
        elif tag == "select":
            self._select = name
        elif tag == "textarea":
            # A first line end belongs to the tag, and not to the text.
            self._text, self.sent[name] = name, ""
        elif tag == "option" and "selected" in given:
            self.sent[self._select] = given["value"]
        elif tag == "input" and kind == "checkbox" and "checked" in given:
            self.sent[name] = given.get("value", "on")
        elif tag == "input" and name and kind not in {"checkbox", "submit"}:
            self.sent[name] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.sent[self._text] = self.sent[self._text].removeprefix("\n")
            self._text = ""

    def handle_data(self, data: str) -> None:
        if self._text:
            self.sent[self._text] += data


def read_form(page: HttpResponse) -> dict[str, str]:
    reader = _FormReader()
    reader.feed(page.text)
    return reader.sent


def load(client: Client, question: Question) -> dict[str, str]:
    """Return what the page of a question would send, as it is now."""
    return read_form(client.get(change_path(question)))


def save(
    client: Client, question: Question, page: dict[str, str], **more: object
) -> HttpResponse:
    """Send a page with this changed or forged; None leaves a field out."""
    changed = {name: value for name, value in more.items() if value is not None}
    kept = {name: value for name, value in page.items() if name not in more}
    return client.post(change_path(question), kept | changed)


def act(
    client: Client, action: str, *questions: Question, **more: object
) -> HttpResponse:
    data = {"action": action, "_selected_action": [q.pk for q in questions]}
    return client.post(LIST, data | more, follow=True)

"""What an organiser's browser posts to the admin."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from polls.models import Choice, Question

LIST = "/admin/polls/question/"


def change_path(question: Question) -> str:
    return f"{LIST}{question.pk}/change/"


def form(
    text: str = "Which way?",
    choices: Iterable[str] = ("Left", "Right"),
    existing: Iterable[Choice] = (),
    **more: object,
) -> dict[str, Any]:
    """Return what the page of a question posts: the question and its choices."""
    choices, existing = list(choices), list(existing)
    data = {
        "question_text": text,
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
        "choice_set-TOTAL_FORMS": len(choices),
        "choice_set-INITIAL_FORMS": len(existing),
    }
    for n, choice in enumerate(choices):
        data[f"choice_set-{n}-choice_text"] = choice
    for n, choice in enumerate(existing):
        data[f"choice_set-{n}-id"] = choice.pk
    return data | more


def save_before(client: Client, question: Question, **more: object) -> HttpResponse:
    """Save the page as it was loaded before the first ballot, with this changed."""
    existing = list(question.choice_set.order_by("id"))
    data = form(str(question), map(str, existing), existing)
    data |= {
        "pub_date_0": question.pub_date.strftime("%Y-%m-%d"),
        "pub_date_1": question.pub_date.strftime("%H:%M:%S"),
        "results": question.results,
    }
    return client.post(change_path(question), data | more)


def save_after(client: Client, question: Question, **more: object) -> HttpResponse:
    """Save the page as it is after the first ballot, with this changed or forged; None leaves a field out."""
    data = {
        "closes_at_0": "",
        "closes_at_1": "",
        "results": question.results,
        "may_change": "on",
        "choice_set-TOTAL_FORMS": 2,
        "choice_set-INITIAL_FORMS": 2,
    }
    for n, choice in enumerate(question.choice_set.order_by("id")):
        data[f"choice_set-{n}-id"] = choice.pk
    data = {name: value for name, value in (data | more).items() if value is not None}
    return client.post(change_path(question), data)


def act(
    client: Client, action: str, *questions: Question, **more: object
) -> HttpResponse:
    data = {"action": action, "_selected_action": [q.pk for q in questions]}
    return client.post(LIST, data | more, follow=True)

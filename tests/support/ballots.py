"""What people have voted, and whether it adds up."""

from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client

from polls.counting.tally import tally_of
from polls.models import Question
from polls.voting.cast import cast


def vote(
    client: Client, question: Question, text: str = "Red", **more: str
) -> HttpResponse:
    """Post the form of the ballot page with this choice."""
    choice = question.choice_set.get(choice_text=text).pk
    return client.post(f"/polls/{question.pk}/vote/", {"choice": choice} | more)


def voted(question: Question, *ballots: str) -> Question:
    """Cast these ballots, each the numbers of choices on the ballot page, such as "21"."""
    choices = list(question.choice_set.order_by("id").values_list("pk", flat=True))
    for n, numbers in enumerate(ballots):
        cast(question, f"{n:032}", [choices[int(number) - 1] for number in numbers])
    return question


def fetch_ballots(client: Client, question: Question, **headers: str) -> HttpResponse:
    """Return the answer for ballots.csv, not streamed any more."""
    response = client.get(f"/polls/{question.pk}/ballots.csv", headers=headers)
    if response.streaming:
        content = b"".join(response.streaming_content)
        return HttpResponse(content, headers=response.headers)
    return response


def assert_count_adds_up(question: Question) -> int:
    """Return the number of ballots, which are as the question asks and add up to its totals."""
    tally = tally_of(question)
    assert tally["ballots"] == question.ballot_set.count()
    call_command("recount", verbosity=0)
    return tally["ballots"]

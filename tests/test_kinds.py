"""One, several, ranked: which ballots are taken, and the one sentence to those that are not."""

import re
from pathlib import Path

import pytest

import polls
from polls.counting.tally import tally_of
from polls.kinds import Kind
from polls.models import Ballot, Choice, Mark, Question, RankingTotal
from polls.voting.cast import cast

UNKNOWN = (
    "You didn't select a choice. "
    "The choices may have changed: select one of the choices below."
)


@pytest.fixture
def several(ask) -> Question:
    """Red, Blue, Green, Grey: 2 or 3 of them."""
    return ask(
        "Which question?",
        "Red",
        "Blue",
        "Green",
        "Grey",
        kind="several",
        min_choices=2,
        max_choices=3,
    )


@pytest.fixture
def ranked(ask) -> Question:
    return ask(
        "In which order?", "Red", "Blue", "Green", "Grey", kind="ranked", max_choices=3
    )


def ids(question: Question) -> list[int]:
    return list(question.choice_set.order_by("id").values_list("pk", flat=True))


def nothing_is_written() -> bool:
    models = (Ballot, Mark, RankingTotal)
    moved = Choice.objects.exclude(votes=0, first_marks=0, revision=0)
    return not moved.exists() and not any(m.objects.exists() for m in models)


def send(client, question, **fields):
    client.get(f"/polls/{question.pk}/")
    return client.post(f"/polls/{question.pk}/vote/", fields)


def refusal(answer) -> str:
    """Return the sentence of a page that says one, once."""
    assert answer.status_code == 200
    assert answer.text.count('role="alert"') == 1
    assert "<form" in answer.text
    return answer.context["error_message"]


def test_it_takes_several(client, several):
    red, blue, green, _ = ids(several)
    assert send(client, several, choice=[green, red]).status_code == 302
    tally = client.get(f"/polls/{several.pk}/results.json").json()
    assert [choice["votes"] for choice in tally["choices"]] == [1, 0, 1, 0]
    assert tally["ballots"] == 1


WRONG_SEVERAL = {
    "none": ([], "You didn't select a choice."),
    "too few": ([0], "Select at least 2 choices."),
    "too many": ([0, 1, 2, 3], "Select at most 3 choices."),
    "repeated": ([0, 0, 1], "You selected a choice twice. Select each one once."),
    "repeated to be enough": (
        [0, 0],
        "You selected a choice twice. Select each one once.",
    ),
    "unknown": (
        [0, 9],
        UNKNOWN,
    ),
}


@pytest.mark.parametrize("name", WRONG_SEVERAL)
def test_it_rejects_a_wrong_selection_with_one_sentence(client, several, name):
    chosen, sentence = WRONG_SEVERAL[name]
    known = [*ids(several), *[10**12] * 6]
    answer = send(client, several, choice=[known[n] for n in chosen])
    assert refusal(answer) == sentence
    assert nothing_is_written()


def test_a_wrong_selection_is_shown_again_as_it_was_sent(client, several):
    answer = send(client, several, choice=ids(several))
    assert answer.text.count(" checked") == 4


def test_it_says_how_many(client, several):
    assert "Select 2 to 3 choices." in client.get(f"/polls/{several.pk}/").text


def test_percentages_of_several_are_of_voters_and_say_so(client, several):
    red, blue, green, grey = ids(several)
    cast(several, "a" * 32, [red, blue])
    cast(several, "b" * 32, [red, blue, green])
    answer = client.get(f"/polls/{several.pk}/results.json").json()
    assert [choice["percent"] for choice in answer["choices"]] == [100, 100, 50, 0]
    page = client.get(f"/polls/{several.pk}/results/").text
    assert "percent of voters: each could select several" in page
    assert "100.0%" in page and "2 ballots" in page


def test_a_wrong_change_keeps_the_ballot_as_it_was(client, several):
    red, blue, green, grey = ids(several)
    send(client, several, choice=[red, blue])
    receipt = Ballot.objects.get().receipt
    for chosen in ([red], [red, red], [red, blue, green, grey], [red, 10**12]):
        assert refusal(send(client, several, choice=chosen))
    ballot = Ballot.objects.get()
    assert [choice.pk for choice in ballot.choices] == [red, blue]
    assert (ballot.receipt, ballot.changed_at) == (receipt, None)
    assert tally_of(several)["version"] == 2


def test_it_takes_a_ranking(client, ranked):
    red, blue, green, _ = ids(ranked)
    assert send(client, ranked, rank1=green, rank2=red).status_code == 302
    assert [c.pk for c in Ballot.objects.get().choices] == [green, red]
    page = client.get(f"/polls/{ranked.pk}/").text
    assert page.count(" selected>") == 2
    assert page.index(f'value="{green}" selected') < page.index(
        f'value="{red}" selected'
    )


WRONG_RANKED = {
    "none": ({}, "You didn't select a choice."),
    "all empty": ({1: "", 2: "", 3: ""}, "You didn't select a choice."),
    "a gap at the start": (
        {2: 0},
        "Rank 1 is empty. Fill the ranks from the first one on, without gaps.",
    ),
    "a gap": (
        {1: 0, 2: "", 3: 1},
        "Rank 2 is empty. Fill the ranks from the first one on, without gaps.",
    ),
    "the same twice": (
        {1: 0, 2: 0},
        "You selected a choice twice. Select each one once.",
    ),
    "too many": ({1: 0, 2: 1, 3: 2, 4: 3}, "Rank at most 3 choices."),
    "unknown": (
        {1: 9},
        UNKNOWN,
    ),
    "a rank that there is not": (
        {1: 0, 9: 1},
        "Rank 2 is empty. Fill the ranks from the first one on, without gaps.",
    ),
}


@pytest.mark.parametrize("name", WRONG_RANKED)
def test_it_rejects_a_wrong_ranking_with_one_sentence(client, ranked, name):
    ranks, sentence = WRONG_RANKED[name]
    known = [*ids(ranked), *[10**12] * 6]
    fields = {f"rank{n}": "" if c == "" else known[c] for n, c in ranks.items()}
    assert refusal(send(client, ranked, **fields)) == sentence
    assert nothing_is_written()


def test_a_wrong_ranking_is_shown_again_as_it_was_sent(client, ranked):
    red, blue, *_ = ids(ranked)
    page = send(client, ranked, rank1=blue, rank2="", rank3=red).text
    assert page.count(" selected>") == 2


def test_it_says_how_many_to_rank(client, ranked):
    assert "Rank up to 3, but at least one." in client.get(f"/polls/{ranked.pk}/").text


@pytest.mark.parametrize("kind", ["one", "several"])
def test_ranks_are_no_choices_where_nothing_is_ranked(client, ask, kind):
    question = ask("Which colour?", "Red", "Blue", kind=kind)
    answer = send(client, question, rank1=ids(question)[0])
    assert refusal(answer) == "You didn't select a choice."
    assert nothing_is_written()


def test_choices_are_no_ranks_where_all_is_ranked(client, ranked):
    answer = send(client, ranked, choice=ids(ranked)[0])
    assert refusal(answer) == "You didn't select a choice."
    assert nothing_is_written()


def test_two_choices_where_one_is_asked_for(client, question):
    answer = send(client, question, choice=ids(question))
    assert refusal(answer) == "Select only one choice."
    assert nothing_is_written()


@pytest.mark.parametrize("kind", ["one", "several", "ranked"])
def test_it_takes_the_same_queries_for_every_kind_of_page(
    client, ask, django_assert_num_queries, kind
):
    question = ask("Many?", *map(str, range(20)), kind=kind)
    with django_assert_num_queries(2):
        client.get(f"/polls/{question.pk}/")


# Its own test of the value, or of one of Kind; models.py has a default.
ASKS_WHICH = re.compile(
    rf"""kind\s*[!=]=|(?<!default=)Kind\.({'|'.join(Kind.names)})|["']({'|'.join(Kind.values)})["']"""
)


@pytest.mark.once
def test_nobody_but_kinds_asks_which_kind_a_question_is():
    """Whoever adds a kind writes its class there, and looks nowhere else."""
    package = Path(polls.__file__).parent
    code = [
        path
        for path in package.rglob("*.*")
        if path.suffix in {".py", ".html", ".svg", ".js", ".css"}
        and path.name not in {"kinds.py", "tests.py"}
        and path.parent.name != "migrations"
    ]
    assert len(code) > 60
    assert not [str(path) for path in code if ASKS_WHICH.search(path.read_text())]

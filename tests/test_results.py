import csv
import datetime
import html
import io
import json
import re

import pytest

from polls.counting.tally import tallies_of
from polls.models import Question
from polls.voting.cast import cast
from tests.support.ballots import voted

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def counted(question):
    red, blue = question.choice_set.order_by("id")
    for n, choice in enumerate([red, red, blue]):
        cast(question, f"{n:032}", [choice.pk])
    return question


def test_it_works(client, counted):
    page = client.get(f"/polls/{counted.pk}/results/")
    assert page.context["question"] == counted
    assert "3 ballots" in page.text
    assert "66.7%" in page.text and "33.3%" in page.text
    assert 'value="66.7"' in page.text


def test_it_shows_zero_before_the_first_vote(client, question):
    page = client.get(f"/polls/{question.pk}/results/").text
    assert page.count("0.0%") == 2
    assert "0 ballots" in page


def test_it_marks_the_voters_own_choice(client, question):
    red = question.choice_set.first()
    client.get(f"/polls/{question.pk}/")
    client.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    page = client.get(f"/polls/{question.pk}/results/").text
    assert page.count("Your vote</strong>") == 1
    assert page.index("Red") < page.index("Your vote</strong>") < page.index("Blue")
    assert "Change your vote" in page


def test_it_shows_a_stranger_no_ones_choice(client, counted):
    assert "Your vote" not in client.get(f"/polls/{counted.pk}/results/").text


def test_it_offers_no_vote_after_the_close(client, counted):
    counted.close()
    page = client.get(f"/polls/{counted.pk}/results/").text
    assert "Closed" in page
    assert 'class="button"' not in page


def test_it_rejects_a_scheduled_question(client, ask):
    question = ask("Secret?", "Yes", opens=1)
    for name in ("results/", "results.json", "results.csv"):
        assert client.get(f"/polls/{question.pk}/{name}").status_code == 404


@pytest.fixture
def drinks(ask):
    return ask("What?", "Tea", "Coffee", "Water", closes=1, kind="ranked")


def rank(question, *rankings):
    for n, ranking in enumerate(rankings):
        choices = dict(question.choice_set.values_list("choice_text", "pk"))
        cast(question, f"{n:032}", [choices[text] for text in ranking])


def test_it_says_who_would_be_elected_and_who_is(client, drinks):
    path = f"/polls/{drinks.pk}/results/"
    assert client.get(path).context["tally"]["outcome"] == ""
    rank(drinks, ["Tea"], ["Tea"], ["Coffee"], ["Coffee"], ["Water", "Coffee"])
    page = client.get(path).text
    assert "Coffee would be elected now, with 3 of 5 ballots in round 2." in page
    drinks.close()
    assert "Elected: Coffee, with 3 of 5 ballots in round 2." in client.get(path).text


def said_at(client, question) -> dict[str, str]:
    """Return what each address says, and an event, which a page without the stream polls for."""
    path = f"/polls/{question.pk}"
    told = {
        name: html.unescape(client.get(f"{path}/{name}").text)
        for name in ("results/", "share/", "results.svg")
    }
    lines = client.get(f"{path}/results.csv").text
    rows = csv.DictReader(io.StringIO(lines, newline=""))
    told["results.csv"] = "".join({row.get("outcome", "") for row in rows})
    told["results.json"] = client.get(f"{path}/results.json").json()["outcome"]
    told["event"] = tallies_of(Question.objects.all())[question.pk]["outcome"]
    return told


OUTCOMES = [
    ("one", ["1"], False, ""),
    ("one", ["1"], True, ""),
    ("several", ["12"], False, ""),
    ("several", [], True, ""),
    ("ranked", [], False, ""),
    ("ranked", [], True, "No choice is elected: there are no ballots."),
    (
        "ranked",
        ["1", "1", "23"],
        False,
        "Tea & <milk> would be elected now, with 2 of 3 ballots in round 1.",
    ),
    (
        "ranked",
        ["1", "2", "2", "31", "1"],
        True,
        "Elected: Tea & <milk>, with 3 of 5 ballots in round 2.",
    ),
]


@pytest.mark.parametrize("kind, ballots, is_closed, outcome", OUTCOMES)
def test_every_address_says_the_same_outcome(
    client, ask, kind, ballots, is_closed, outcome
):
    question = voted(ask("?", "Tea & <milk>", "Coffee", "Water", kind=kind), *ballots)
    if is_closed:
        question.close()
    told = said_at(client, question)
    assert [name for name, text in told.items() if outcome not in text] == []
    if not outcome:
        speaks = re.compile("would be elected|Elected:|is elected:")
        assert [name for name, text in told.items() if speaks.search(text)] == []


def test_the_table_of_rounds_is_the_same_for_the_script(client, ask):
    question = voted(ask("?", "<b>Tea", "Coffee", kind="ranked"), "1", "2")
    table = client.get(f"/polls/{question.pk}/results.json").json()["rounds_table"]
    assert "&lt;b&gt;Tea" in table and "<b>" not in table
    assert table in client.get(f"/polls/{question.pk}/results/").text


def test_it_says_that_nobody_was_elected_without_ballots(client, drinks):
    drinks.close()
    page = client.get(f"/polls/{drinks.pk}/results/").text
    assert "No choice is elected: there are no ballots." in page


def rounds_in(client, question) -> list[str]:
    """Return the rows of the table of rounds, as they are read."""
    table = client.get(f"/polls/{question.pk}/results.json").json()["rounds_table"]
    rows = re.findall("<tr.*?</tr>", table, re.S)
    texts = [re.sub("<[^>]*>", " ", row.replace('aria-label="', ">")) for row in rows]
    return [" ".join(text.split()) for text in texts]


def test_it_shows_the_rounds_with_what_is_out_and_exhausted(client, drinks):
    rank(drinks, ["Tea"], ["Tea"], ["Coffee"], ["Coffee", "Tea"], ["Water"])
    _, *rows = rounds_in(client, drinks)
    assert rows == [
        "Tea Ahead 2 2 3",
        "Coffee 2 2 out",
        "Water 1 out –",
        "Exhausted 0 1 2",
    ]


def test_of_many_rounds_it_shows_the_first_and_the_last_ones(client, ask):
    """Each choice has one ballot more than the one before it, and nobody ranks a second one."""
    names = [f"Choice {n}" for n in range(1, 13)]
    question = ask("Which?", *names, kind="ranked")
    rank(question, *([name] for n, name in enumerate(names, 1) for _ in range(n)))
    question.close()
    head, *rows = rounds_in(client, question)
    assert re.findall("Round ([0-9]+)", head) == ["1", "8", "9", "10", "11"]
    assert rows[0] == "Choice 12 Elected 12 12 12 12 12"
    assert rows[1:] == [
        "Choice 11 11 11 11 11 11",
        "Choice 10 10 10 10 10 out",
        "Choice 9 9 9 9 out –",
        "Choice 8 8 8 out – –",
        "Exhausted 0 28 36 45 55",
    ]
    table = client.get(f"/polls/{question.pk}/results.json").json()["rounds_table"]
    outs = re.findall(
        r'<li value="(\d+)"><bdi>(.*?)</bdi> <span class="soft">(\d+) vote', table
    )
    assert outs == [(str(n), f"Choice {n}", str(n)) for n in range(1, 8)]


def test_it_says_in_which_round_the_rule_for_ties_decided(client, drinks):
    rank(drinks, ["Tea"], ["Coffee"])
    page = client.get(f"/polls/{drinks.pk}/results/").text
    sentence = "Round 2: Tea and Coffee were tied; Coffee goes out by the rule below."
    assert page.count("tied;") == 1 and f">{sentence}</p>" in page
    tally = client.get(f"/polls/{drinks.pk}/results.json").json()
    tea, coffee, _ = drinks.choice_set.order_by("id").values_list("pk", flat=True)
    assert [round_["tied"] for round_ in tally["rounds"]] == [[], [tea, coffee], []]
    # Tea is elected with one of one ballot: nobody is to take that for all there is to say.
    assert tally["outcome"].endswith(
        "In round 2 Tea and Coffee were tied, and the rule for ties decided."
    )


def test_it_says_nothing_of_ties_where_none_was(client, drinks):
    rank(drinks, ["Tea"], ["Tea"], ["Coffee"])
    page = client.get(f"/polls/{drinks.pk}/results/").text
    assert "tied;" not in page and "Of choices tied for last" in page
    assert "the rule for ties decided." not in page


def test_it_marks_the_ranks_of_the_voter(client, drinks):
    tea, coffee, _ = drinks.choice_set.order_by("id")
    client.get(f"/polls/{drinks.pk}/")
    ranks = {"rank1": coffee.pk, "rank2": tea.pk}
    client.post(f"/polls/{drinks.pk}/vote/", ranks)
    page = client.get(f"/polls/{drinks.pk}/results/").text
    assert page.index("Tea</span>") < page.index("Your choice 2</strong>")
    assert page.index("Coffee</span>") < page.index("Your choice 1</strong>")
    assert page.count("Your choice") == 2


def test_hidden_results_show_the_number_of_ballots_alone(client, counted):
    Question.objects.update(results="organisers")
    for name in ("results/", "share/"):
        page = client.get(f"/polls/{counted.pk}/{name}").text
        assert ">3<" in page or "3 ballots" in page
        assert "Only the organisers see" in page
        assert "Red" not in page and "66.7" not in page


def test_json_is_the_tally(client, counted):
    answer = client.get(f"/polls/{counted.pk}/results.json").json()
    assert answer["question"]["text"] == "Which colour?"
    assert answer["question"]["state"] == "open"
    assert answer["ballots"] == 3
    assert [(c["text"], c["votes"], c["percent"]) for c in answer["choices"]] == [
        ("Red", 2, 66.7),
        ("Blue", 1, 33.3),
    ]


def test_json_is_answered_304_until_something_changes(client, counted):
    path = f"/polls/{counted.pk}/results.json"
    etag = client.get(path).headers["ETag"]
    same = client.get(path, headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["ETag"] == etag
    cast(counted, "z" * 32, [counted.choice_set.first().pk])
    changed = client.get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag


def test_json_and_csv_keep_markup_and_quotes(client, ask):
    text = '<script>"a", b</script>\n\u2028'
    question = ask("Odd?", text)
    answer = client.get(f"/polls/{question.pk}/results.json")
    assert json.loads(answer.content)["choices"][0]["text"] == text
    assert answer.headers["Content-Type"] == "application/json"
    lines = client.get(f"/polls/{question.pk}/results.csv").text
    assert next(csv.DictReader(io.StringIO(lines, newline="")))["choice"] == text


def test_csv_is_the_tally_as_a_file(client, counted):
    answer = client.get(f"/polls/{counted.pk}/results.csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    ids = [str(c.pk) for c in counted.choice_set.order_by("id")]
    assert rows == [
        ["choice_id", "choice", "votes", "percent"],
        [ids[0], "Red", "2", "66.7"],
        [ids[1], "Blue", "1", "33.3"],
    ]
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "\r=1"])
def test_csv_makes_formulas_harmless(client, ask, text):
    question = ask("Formula?", text)
    answer = client.get(f"/polls/{question.pk}/results.csv").text
    row = next(csv.DictReader(io.StringIO(answer, newline="")))
    assert row["choice"] == f"'{text}"


@pytest.mark.parametrize("number", [2, 20])
@pytest.mark.parametrize("name", ["results/", "results.json", "results.csv"])
def test_it_takes_two_queries(client, ask, django_assert_num_queries, name, number):
    question = ask("Many?", *map(str, range(number)))
    with django_assert_num_queries(2):
        client.get(f"/polls/{question.pk}/{name}")


def test_on_paper_it_says_its_address(client, counted):
    page = client.get(f"/polls/{counted.pk}/results/").text
    assert f"http://testserver/polls/{counted.pk}/results/ <span data-printed>" in page


def test_a_voter_is_told_first_and_can_copy_the_receipt(client, question):
    client.get(f"/polls/{question.pk}/")
    client.post(
        f"/polls/{question.pk}/vote/", {"choice": question.choice_set.first().pk}
    )
    page = client.get(f"/polls/{question.pk}/results/").text
    order = ["Your vote is counted", "data-copy=", "<h1", "data-outcome", "<meter"]
    places = [page.index(words) for words in order]
    assert places == sorted(places)
    assert re.search('data-copy="[0-9A-Z-]{14}" data-copied="Copied" hidden>', page)
    assert "polls/copy.js" in page


def test_a_stranger_loads_no_script_to_copy(client, counted):
    assert "copy.js" not in client.get(f"/polls/{counted.pk}/results/").text


@pytest.mark.parametrize(
    "change, words",
    [
        ({}, "After the close all ballots are listed here"),
        ({"closes_at": LONG_AGO}, "Every ballot is in this list"),
        (
            {"closes_at": LONG_AGO, "ballots_deleted_at": LONG_AGO},
            "The ballots were deleted when their time was over",
        ),
    ],
)
def test_it_says_how_to_check_the_count(client, counted, change, words):
    Question.objects.update(pub_date=LONG_AGO, **change)
    page = client.get(f"/polls/{counted.pk}/results/").text
    assert words in page[page.index("Check the count") :]
    assert ('/ballots.csv"' in page) == (list(change) == ["closes_at"])

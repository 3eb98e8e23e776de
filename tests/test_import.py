"""Polls as a file: all of it or nothing, and what is wrong with its line."""

import datetime
import io
import sqlite3

import pytest
from django.core.management import CommandError, call_command

from polls.kinds import Kind
from polls.models import Choice, Question
from polls.poll_file.draft import NotImported, save_polls
from polls.poll_file.fields import FIELDS, KEYS
from polls.poll_file.reading import read_polls
from tests.support.servers import ROOT

pytestmark = pytest.mark.django_db
DEMO = ROOT / "docs/demo.yaml"


@pytest.fixture
def load(tmp_path):
    """Return what imports a text as the command does, and what it said."""

    def load(text: str | bytes, *options: str) -> str:
        file = tmp_path / "polls.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        said = io.StringIO()
        call_command("importpolls", str(file), *options, stdout=said)
        return said.getvalue()

    return load


def written(*questions: int) -> str:
    out = io.StringIO()
    call_command("exportpolls", *map(str, questions), stdout=out)
    return out.getvalue()


def stored() -> list[tuple]:
    """Return all that organisers have said of all polls."""
    kept = [f.name for f in Question._meta.fields if f.editable and f.name != "id"]
    return [
        (*(getattr(question, name) for name in kept), *question.choice_texts.values())
        for question in Question.objects.order_by("pk")
    ]


def refused(load, text: str | bytes) -> list[str]:
    with pytest.raises(CommandError) as refusal:
        load(text)
    *problems, last = str(refusal.value).splitlines()
    assert last == "Nothing was imported."
    assert not Question.objects.exists() and not Choice.objects.exists()
    return problems


def test_it_works(load):
    said = load("- question: Which?\n  choices: [Red, Blue]\n")
    assert said == "Imported. Polls: 1 (1 open).\n"
    question = Question.objects.get()
    assert (question.question_text, question.is_open) == ("Which?", True)
    assert [*question.choice_texts.values()] == ["Red", "Blue"]
    assert len(question.voter_salt) == 32


def test_the_demo_has_a_poll_of_each_kind(load):
    load(DEMO.read_text())
    kinds = Question.objects.order_by("pk").values_list("kind", flat=True)
    assert [*kinds] == Kind.values
    # And each key that there is.
    assert [key for key in KEYS if f"{key}:" not in DEMO.read_text()] == []


def test_it_has_all_that_organisers_say():
    said = [f.name for f in Question._meta.fields if f.editable and f.name != "id"]
    assert {field.name for field in FIELDS.values()} == set(said)


def test_what_is_exported_is_imported_as_it_was(load, ask):
    load(DEMO.read_text())
    ask("Yes: or no?", "Yes", "no", "12:30", "~", "- x", "", "#1", " a ", "2026-12-01")
    ask('Odd "quotes" & *signs*', "a\nb\n", "a\u2028", "漢字", "شكراً", "🗳", "!", "'")
    ask("x" * 200, "y " * 99 + "yy", "null", closes=2, receipts=False, may_change=False)
    ask("أي يوم؟", "اليوم", "غدًا", language="ar", may_embed=True)
    ask("When?", "1", "2", voters="codes", results="organisers", opens=5, closes=9)
    Choice.objects.filter(choice_text="").delete()
    before, text = stored(), written()
    Question.objects.all().delete()
    load(text)
    assert stored() == before
    assert written() == text


def test_some_are_exported_by_their_ids(ask):
    first, second, third = (ask(f"Question {n}?", "Yes", "No") for n in range(3))
    text = written(second.pk, third.pk)
    assert "Question 1?" in text and "Question 2?" in text
    assert "Question 0?" not in text
    with pytest.raises(CommandError, match="There is no question 0"):
        written(first.pk, 0)


def test_a_time_is_in_the_zone_of_the_site(load, settings):
    settings.TIME_ZONE = "Europe/Paris"
    poll = "- question: Which?\n  choices: [Red, Blue]\n"
    load(poll + "  opens: 2026-07-01 09:00\n")
    load(poll + "  opens: 2026-07-01T09:00:00+00:00\n")
    opens = Question.objects.order_by("pk").values_list("pub_date", flat=True)
    utc = datetime.datetime(2026, 7, 1, 9, tzinfo=datetime.UTC)
    assert [utc - moment for moment in opens] == [
        datetime.timedelta(hours=2),
        datetime.timedelta(0),
    ]


def test_to_check_imports_nothing(load):
    said = load(DEMO.read_text(), "--check")
    assert said.startswith("Nothing is wrong, and nothing was imported. Polls: 3")
    assert not Question.objects.exists()


POLL = "- question: Which?\n  choices: [Red, Blue]\n"
WRONG = [
    (
        POLL + "  kind: ranekd\n",
        "line 3: kind is 'ranekd'. Use one, several or ranked.",
    ),
    (POLL + "  kinds: one\n", "line 3: 'kinds' is unknown. Use question, opens"),
    (POLL + "  kind: one\n  kind: one\n", "line 4: kind is there twice in this poll."),
    (
        POLL + "  closes: tomorrow\n",
        "line 3: closes is 'tomorrow'. Use a date and a time",
    ),
    (
        POLL + "  closes: 2026-12-01\n",
        "line 3: closes is '2026-12-01'. Use a date and a",
    ),
    (POLL + "  closes: 0001-01-01 00:00+14:00\n", "line 3: closes is"),
    (POLL + "  closes: 2001-01-01 00:00\n", "line 1: The poll would close before"),
    (
        POLL + "  may_change: perhaps\n",
        "line 3: may_change is 'perhaps'. Use yes or no.",
    ),
    (POLL + "  language: English\n", "line 3: language is 'English'. Use the code"),
    (POLL + "  at_most: 1\n", "line 3: A poll of the kind one has no at_most."),
    (
        POLL + "  kind: several\n  at_most: two\n",
        "line 4: at_most is 'two'. Use a whole",
    ),
    (POLL + "  kind: several\n  at_most: 0\n", "line 4: at_most: Ensure this value is"),
    (
        POLL + "  kind: several\n  at_least: 3\n",
        "line 4: at_least is 3, and there are 2",
    ),
    (POLL + "  kind: ranked\n  at_most: 51\n", "line 4: at_most is 51. Use at most 50"),
    (
        POLL + "  kind: several\n  at_least: 2\n  at_most: 1\n",
        "line 1: “At most” cannot be less than “at least”.",
    ),
    (POLL + "  question: [a, b]\n", "line 3: question is there twice"),
    (
        "- question: {a: b}\n  choices: [a, b]\n",
        "line 1: Here stands one text of question",
    ),
    ("- choices: [Red, Blue]\n", "line 1: This poll has no question."),
    ("- question:\n  choices: [a, b]\n", "line 1: This poll has no question."),
    (f"- question: {'x' * 201}\n  choices: [a, b]\n", "line 1: question: Ensure this"),
    ("- question: Which?\n", "line 1: A poll needs at least 2 choices."),
    (
        "- question: Which?\n  choices: [a]\n",
        "line 2: A poll needs at least 2 choices.",
    ),
    ("- question: Which?\n  choices: a, b\n", "line 2: Choices are a list"),
    ("- question: Which?\n  choices: [a, b, a]\n", "line 2: Two choices are the same"),
    ("- question: Which?\n  choices: [a, '']\n", "line 2: '': This field"),
    (
        "- question: Which?\n  choices:\n    - a\n    - [b]\n",
        "line 4: Here stands one text of choices",
    ),
    (f"- question: Which?\n  choices: [a, {'b' * 201}]\n", "line 2: 'bbb"),
    ("- question: Which?\n  choices: [a, '  ']\n", "line 2: '  ': This field"),
    ("- question: '  '\n  choices: [a, b]\n", "line 1: This poll has no question."),
    (
        "- question: Which?\n  choices: [a, 'a ']\n",
        "line 2: Two choices are the same: 'a'.",
    ),
    (
        f"- question: Which?\n  choices: {[*map(str, range(1001))]}\n",
        "line 2: A poll has room for 1000 choices.",
    ),
    (
        '- question: "a\\0b"\n  choices: [a, b]\n',
        "line 1: question is 'a\\x00b'. It has",
    ),
    (
        '- question: Which?\n  choices: [a, "\\ud800"]\n',
        "line 2: ",
    ),
    ("question: Which?\n", "line 1: This is no list of polls."),
    ("", "line 1: This is no list of polls."),
    ("just words", "line 1: This is no list of polls."),
    ("[]", "line 1: This is no list of polls."),
    ("- Which?\n", "line 1: A poll begins with “- question:”."),
    ("- question: Which: a or b?\n", "line 1: This is no YAML"),
    ("- question: Which?\n  choices:\n  - a\n - b\n", "line 4: This is no YAML"),
    ("- question: Which?\n  choices: [a, b\n", "This is no YAML"),
    (POLL + "--- \n" + POLL, "line 3: This is no YAML"),
    (POLL + "\x07", "line 3: This is no YAML"),
    ("- question: *a\n  choices: [a, b]\n", "line 1: A text that begins with & or *"),
    ("- question: &a b\n  choices: [a, b]\n", "line 1: A text that begins with & or *"),
    ("- question: !!python/name:os.system\n", "line 1: A text that begins with !"),
    ("- question: Which?\n  choices: [a, !b]\n", "line 2: "),
    ("- " * 10 + "a", "line 1: There are too many lists in one another here."),
    ("[" * 100_000, "line 1: "),
    (POLL.encode("utf-16"), "The file is not text in UTF-8."),
    (b"# x\n" * 1_100_000, "The file is larger than 4 MB."),
]


@pytest.mark.parametrize("text, sentence", WRONG, ids=range(len(WRONG)))
def test_it_rejects_what_is_wrong_with_one_sentence(load, text, sentence):
    (problem,) = refused(load, text)
    assert sentence in problem


def test_one_wrong_line_of_many_imports_nothing(load):
    polls = [
        f"- question: Question {n}?\n  choices: [a, b]\n  kind: ranked\n"
        for n in range(1000)
    ]
    polls[233] = polls[233].replace("ranked", "ranekd")
    problems = refused(load, "".join(polls))
    assert problems == ["line 702: kind is 'ranekd'. Use one, several or ranked."]


def test_all_that_is_wrong_is_said_at_once_and_not_without_end(load):
    problems = refused(load, (POLL + "  kind: x\n  results: y\n") * 2)
    assert [p.partition(":")[0] for p in problems] == [
        "line 3",
        "line 4",
        "line 7",
        "line 8",
    ]
    problems = refused(load, (POLL + "  kind: x\n") * 100)
    assert len(problems) == 21 and problems[-1] == "And 80 more."


def test_a_file_of_another_system_is_read_too(load):
    load(b"\xef\xbb\xbf" + POLL.replace("\n", "\r\n").encode())
    assert Question.objects.get().question_text == "Which?"


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(CommandError, match=r"nowhere cannot be read \(No such file"):
        call_command("importpolls", str(tmp_path / "nowhere"))


def test_what_is_piped_in_is_read(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(POLL.encode())))
    call_command("importpolls", "-", stdout=io.StringIO())
    assert Question.objects.get().question_text == "Which?"


def test_it_takes_a_thousand_polls(load):
    polls = "".join(
        f"- question: Question {n}?\n  choices: [a, b, c, d, e]\n" for n in range(1000)
    )
    load(polls)
    assert (Question.objects.count(), Choice.objects.count()) == (1000, 5000)


TUTORIAL = """
CREATE TABLE polls_question (id integer PRIMARY KEY, question_text varchar(200), pub_date datetime);
CREATE TABLE polls_choice (id integer PRIMARY KEY, choice_text varchar(200), votes integer, question_id bigint);
INSERT INTO polls_question VALUES (1, 'What''s new?', '2026-01-02 03:04:05.678901'), (7, 'Past', '2026-01-01 00:00:00');
INSERT INTO polls_choice VALUES (1, 'Not much', 3, 1), (2, 'The sky', 4, 1);
"""


@pytest.fixture
def tutorial(tmp_path):
    """Return what makes a database, and imports it."""

    def tutorial(script: str) -> str:
        file = tmp_path / "db.sqlite3"
        with sqlite3.connect(file) as database:
            database.executescript(script)
        database.close()
        said = io.StringIO()
        call_command("importpolls", str(file), stdout=said)
        return said.getvalue()

    return tutorial


def test_a_database_of_the_tutorial_gives_its_questions_without_their_votes(tutorial):
    said = tutorial(TUTORIAL)
    assert "Polls: 2 (2 open)." in said
    assert "With fewer than two choices: 1." in said
    assert "Votes left behind: 7. They have no ballots" in said
    question = Question.objects.get(question_text="What's new?")
    assert question.pub_date.isoformat() == "2026-01-02T03:04:05.678901+00:00"
    votes = question.choice_set.order_by("pk").values_list("choice_text", "votes")
    assert [*votes] == [("Not much", 0), ("The sky", 0)]


@pytest.mark.parametrize(
    "script, sentence",
    [
        ("CREATE TABLE x (y)", "no database of the Django tutorial"),
        (
            TUTORIAL + "CREATE TABLE polls_ballot (x)",
            "write its polls with exportpolls",
        ),
        (TUTORIAL + "UPDATE polls_question SET pub_date = 'x'", "its date is 'x'"),
        (
            TUTORIAL + "UPDATE polls_choice SET choice_text = ''",
            "question 1: '': This field cannot be blank",
        ),
        (TUTORIAL + "ALTER TABLE polls_choice RENAME votes TO x", "cannot be read"),
    ],
)
def test_it_rejects_another_database(tutorial, script, sentence):
    with pytest.raises(CommandError, match=sentence):
        tutorial(script)
    assert not Question.objects.exists()


def test_a_damaged_database_is_one_sentence(load):
    (problem,) = refused(load, b"SQLite format 3\0" + b"x" * 5000)
    assert problem.startswith("The database cannot be read")


def test_between_reading_and_saving_nothing_is_half_done(monkeypatch):
    drafts = read_polls(DEMO.read_bytes())

    def fail(*arguments: object) -> None:
        raise NotImported(["The disk is full."])

    monkeypatch.setattr(Choice.objects, "bulk_create", fail)
    with pytest.raises(NotImported):
        save_polls(drafts)
    assert not Question.objects.exists()


@pytest.mark.parametrize(
    "zone, moment",
    [
        ("America/New_York", "0001-01-01 00:00+00:00"),
        ("Asia/Tokyo", "9999-12-31 23:59+00:00"),
    ],
)
def test_it_rejects_a_time_that_the_zone_of_the_site_has_not(
    load, settings, zone, moment
):
    settings.TIME_ZONE = zone
    (problem,) = refused(load, POLL + f"  opens: {moment}\n")
    assert f"line 3: opens is '{moment}'. Use a date and a time" in problem

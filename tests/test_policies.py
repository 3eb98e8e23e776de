"""Who sees results: every policy, every viewer and every way out of the site, in one table.

pytest -n 0 -s tests/test_policies.py prints it.
"""

import re
import threading

import pytest
from django.contrib.auth.models import User
from django.test import Client

from polls.models import Choice, Question
from polls.voting.cast import cast
from tests.support.people import Voter
from tests.support.streams import Stream

# Recognisable wherever they come out: the totals and their percentages. (A stream's retry is 1000 to 4000.)
RED, BLUE = 5127, 4213
NUMBERS = [str(RED), str(BLUE), "54.9", "45.1"]

# shown: 200 with the numbers. hidden: 200 without. 403: refused, and without.
# number and numbers are the stream and the JSON of how many ballots there are: nobody gets more by them.
TABLE = """
policy     state  viewer     page   json   csv    svg    live   wall   ballots  receipt  ballot  list    number  numbers  embed
always     open   stranger   shown  shown  shown  shown  shown  shown  403      hidden   hidden  hidden  hidden  hidden   shown
always     open   voter      shown  shown  shown  shown  shown  shown  403      hidden   hidden  hidden  hidden  hidden   shown
always     open   organiser  shown  shown  shown  shown  shown  shown  403      hidden   hidden  hidden  hidden  hidden   shown
always     closed stranger   shown  shown  shown  shown  shown  shown  shown    hidden   shown   hidden  hidden  hidden   shown
always     closed voter      shown  shown  shown  shown  shown  shown  shown    hidden   shown   hidden  hidden  hidden   shown
always     closed organiser  shown  shown  shown  shown  shown  shown  shown    hidden   shown   hidden  hidden  hidden   shown
voted      open   stranger   hidden 403    403    403    403    hidden 403      hidden   hidden  hidden  hidden  hidden   hidden
voted      open   voter      shown  shown  shown  shown  shown  hidden 403      hidden   hidden  hidden  hidden  hidden   hidden
voted      open   organiser  shown  shown  shown  shown  shown  hidden 403      hidden   hidden  hidden  hidden  hidden   hidden
voted      closed stranger   shown  shown  shown  shown  shown  shown  shown    hidden   shown   hidden  hidden  hidden   shown
voted      closed voter      shown  shown  shown  shown  shown  shown  shown    hidden   shown   hidden  hidden  hidden   shown
voted      closed organiser  shown  shown  shown  shown  shown  shown  shown    hidden   shown   hidden  hidden  hidden   shown
closed     open   stranger   hidden 403    403    403    403    hidden 403      hidden   hidden  hidden  hidden  hidden   hidden
closed     open   voter      hidden 403    403    403    403    hidden 403      hidden   hidden  hidden  hidden  hidden   hidden
closed     open   organiser  shown  shown  shown  shown  shown  hidden 403      hidden   hidden  hidden  hidden  hidden   hidden
closed     closed stranger   shown  shown  shown  shown  shown  shown  shown    hidden   shown   hidden  hidden  hidden   shown
closed     closed voter      shown  shown  shown  shown  shown  shown  shown    hidden   shown   hidden  hidden  hidden   shown
closed     closed organiser  shown  shown  shown  shown  shown  shown  shown    hidden   shown   hidden  hidden  hidden   shown
organisers open   stranger   hidden 403    403    403    403    hidden 403      hidden   hidden  hidden  hidden  hidden   hidden
organisers open   voter      hidden 403    403    403    403    hidden 403      hidden   hidden  hidden  hidden  hidden   hidden
organisers open   organiser  shown  shown  shown  shown  shown  hidden 403      hidden   hidden  hidden  hidden  hidden   hidden
organisers closed stranger   hidden 403    403    403    403    hidden 403      hidden   hidden  hidden  hidden  hidden   hidden
organisers closed voter      hidden 403    403    403    403    hidden 403      hidden   hidden  hidden  hidden  hidden   hidden
organisers closed organiser  shown  shown  shown  shown  shown  hidden shown    hidden   hidden  hidden  hidden  hidden   hidden
"""
HEAD, *ROWS = [line.split() for line in TABLE.strip().splitlines()]
OUTLETS = {
    "page": "/polls/{}/results/",
    "json": "/polls/{}/results.json",
    "csv": "/polls/{}/results.csv",
    "svg": "/polls/{}/results.svg",
    "wall": "/polls/{}/share/",
    "numbers": "/polls/{}/turnout.json",
    "embed": "/polls/{}/embed/",
    "ballots": "/polls/{}/ballots.csv",
    "ballot": "/polls/{}/",
    "list": "/polls/",
}

MAKE = """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from polls.models import Choice, Question
User.objects.create_superuser("olga", password="opens")
opens = timezone.now().replace(microsecond=0) - timedelta(days=1)
for policy in ("always", "voted", "closed", "organisers"):
    for state in ("open", "closed"):
        question = Question.objects.create(question_text=f"{policy} {state}?", pub_date=opens, results=policy, may_embed=True)
        for text in ("Red", "Blue"):
            Choice.objects.create(question=question, choice_text=text)
        print(policy, state, question.pk)
"""
COUNT = f"""
from datetime import timedelta
from polls.codes import spell
from polls.models import Ballot, Choice, Question
Choice.objects.filter(choice_text="Red").update(votes={RED}, first_marks={RED}, revision=1)
Choice.objects.filter(choice_text="Blue").update(votes={BLUE}, first_marks={BLUE}, revision=1)
for question in Question.objects.filter(question_text__endswith="closed?"):
    Question.objects.filter(pk=question.pk).update(closes_at=question.pub_date + timedelta(hours=1))
for ballot in Ballot.objects.all():
    print(ballot.question_id, spell(ballot.receipt))
"""


def occurs(text: str, words: list[str]) -> list[str]:
    """Return those that stand there by themselves, with thousands apart or not: a port, a time or the id of a request may hold the same digits."""
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    alone = r"(?<![\w.]){}(?!\w)"
    return [word for word in words if re.search(alone.format(re.escape(word)), text)]


def stream(viewer: Voter, question: int, query: str = "") -> tuple[int, str]:
    stream = Stream(viewer.base, question, query=query, cookies=viewer.cookies)
    stream.wait_for("\r\n\r\n")
    stream.wait_for("data: {" if stream.status == 200 else "</html>")
    stream.read(0.3)
    return stream.status, stream.text


def seen(viewer: Voter, outlet: str, question: int, receipt: str) -> str:
    """Return what the table has to say of this viewer at this outlet."""
    numbers = [receipt] if outlet == "ballots" else NUMBERS
    if outlet in ("live", "number"):
        query = "?only=ballots" if outlet == "number" else ""
        status, text = stream(viewer, question, query)
    else:
        path = OUTLETS.get(outlet, f"/r/{receipt}/").format(question)
        answer = viewer.get(path)
        status, text = answer.status, f"{answer.headers}{answer.text}"
    found = occurs(text, numbers)
    if status == 200 and outlet in (
        "csv",
        "json",
        "svg",
        "page",
        "live",
        "wall",
        "embed",
    ):
        assert found in ([], NUMBERS), f"{outlet} shows a part: {found}"
    if found:
        return "shown" if status == 200 else f"{status} with {found}"
    return "hidden" if status == 200 else str(status)


@pytest.fixture(scope="module")
def site(share):
    return share("uvicorn polls.asgi:application").ready()


@pytest.fixture(scope="module")
def questions(site):
    made = [line.split() for line in site.shell(MAKE).splitlines()]
    return {(policy, state): int(pk) for policy, state, pk in made}


def test_it_works(site, questions):
    viewers = {
        "stranger": Voter(site.base),
        "voter": Voter(site.base),
        "organiser": Voter(site.base).log_in("olga", "opens"),
    }
    for pk in questions.values():
        assert viewers["voter"].open_and_vote(pk).status == 302
    receipts = dict(line.split() for line in site.shell(COUNT).splitlines())
    cells, wrong, printed = 0, [], [HEAD]
    for policy, state, viewer, *expected in ROWS:
        pk = questions[policy, state]
        told = [seen(viewers[viewer], o, pk, receipts[str(pk)]) for o in HEAD[3:]]
        printed.append([policy, state, viewer, *told])
        cells += len(told)
        for outlet, is_so, should_be in zip(HEAD[3:], told, expected, strict=True):
            if is_so != should_be:
                wrong.append(f"{policy} {state} {viewer} {outlet}: {is_so}")
    for line in printed:
        print("".join(f"{word:11}" for word in line))
    print(f"Cells: {cells}. Not as they should be: {len(wrong)}.")
    assert cells == 4 * 2 * 3 * 13
    assert not wrong


def crowd(site, policy: str, *names: str) -> tuple[int, dict[str, Stream]]:
    """Ask a new question and open streams of these: stranger, voter, organiser."""
    question = site.ask()
    voter, olga = Voter(site.base), Voter(site.base)
    assert voter.open_and_vote(question).status == 302
    with site.database() as run:
        run("UPDATE polls_question SET results = %s WHERE id = %s", policy, question)
    if "organiser" in names:
        olga.log_in("olga", "opens")
    viewers = {"stranger": Voter(site.base), "voter": voter, "organiser": olga}
    streams = {
        name: Stream(site.base, question, cookies=viewers[name].cookies)
        for name in names
    }
    for one in streams.values():
        one.wait_for('"ballots": 1')
    return question, streams


def change(site, question: int, *sets: str) -> None:
    """Change policy and totals in one transaction; the new total is the mark of what came after."""
    with site.database() as run:
        run("BEGIN")
        for column in sets:
            run(f"UPDATE polls_question SET {column} WHERE id = %s", question)
        total = "UPDATE polls_choice SET votes = %s, revision = revision + 1 WHERE question_id = %s"
        run(total, BLUE, question)
        run("COMMIT")


@pytest.fixture
def organised(site, questions):
    return site


STRICTER = [
    ("always", "voted", ["stranger"], ["voter", "organiser"]),
    ("always", "closed", ["stranger", "voter"], ["organiser"]),
    ("always", "organisers", ["stranger", "voter"], ["organiser"]),
    ("voted", "closed", ["voter"], ["organiser"]),
    ("voted", "organisers", ["voter"], ["organiser"]),
    ("closed", "organisers", [], ["organiser"]),
]


def test_a_stricter_policy_ends_the_streams_of_those_who_may_not_see(organised):
    for before, after, away, stay in STRICTER:
        question, streams = crowd(organised, before, *away, *stay)
        change(organised, question, f"results = '{after}'")
        for name in away:
            assert streams[name].read(5).ended
            assert '{"reason": "hidden"}' in streams[name].text
            assert not occurs(streams[name].text, [str(BLUE)])
        for name in stay:
            streams[name].wait_for(str(BLUE))
            assert not streams[name].read(0.3).ended


def test_a_spectator_who_comes_at_that_moment_sees_nothing_newer(organised):
    question, streams = crowd(organised, "always", "stranger", "organiser")
    comers, changed = [], threading.Event()

    def keep_coming():
        while not changed.is_set() or len(comers) < 40:
            comers.append(Stream(organised.base, question))

    thread = threading.Thread(target=keep_coming)
    thread.start()
    change(organised, question, "results = 'organisers'")
    changed.set()
    thread.join()
    streams["organiser"].wait_for(str(BLUE))
    for comer in comers:
        comer.wait_for("\r\n\r\n")
        comer.wait_for("hidden" if comer.status == 200 else "</html>")
        assert not occurs(comer.text, [str(BLUE)])


def test_a_poll_that_closes_and_hides_at_once_shows_its_end_to_organisers(organised):
    question, streams = crowd(organised, "always", "stranger", "voter", "organiser")
    change(organised, question, "results = 'organisers'", "closes_at = pub_date")
    for name in ("stranger", "voter"):
        assert streams[name].read(5).ended
        assert '{"reason": "hidden"}' in streams[name].text
        assert not occurs(streams[name].text, [str(BLUE)])
    streams["organiser"].wait_for('{"reason": "closed"}')
    assert occurs(streams["organiser"].text, [str(BLUE)])


# From here on what browsers and caches ask, without a server.


@pytest.fixture
def hidden(question) -> Question:
    """A poll that only its voters see, with numbers."""
    Question.objects.update(results="voted")
    red, blue = question.choice_set.order_by("id")
    for choice, number in ((red, RED), (blue, BLUE)):
        totals = {"votes": number, "first_marks": number, "revision": 1}
        Choice.objects.filter(pk=choice.pk).update(**totals)
    return question


@pytest.fixture
def voter(client, hidden):
    red = hidden.choice_set.order_by("id").first()
    client.post(f"/polls/{hidden.pk}/vote/", {"choice": red.pk})
    return client


@pytest.mark.parametrize("name", ["results.json", "results.svg"])
def test_a_voters_etag_tells_a_stranger_nothing(voter, hidden, name):
    path = f"/polls/{hidden.pk}/{name}"
    match = {"If-None-Match": voter.get(path).headers["ETag"]}
    assert voter.get(path, headers=match).status_code == 304
    for headers in (match, {"If-None-Match": "*"}):
        answer = Client().get(path, headers=headers)
        assert answer.status_code == 403
        assert "ETag" not in answer.headers


def test_the_wall_asks_as_a_spectator_and_gets_no_more(voter, hidden, admin_client):
    wall = voter.get(f"/polls/{hidden.pk}/share/").text
    assert not occurs(wall, NUMBERS)
    Question.objects.update(results="always")
    urls = re.findall(
        r'data-\w+-url="([^"]+)"', voter.get(f"/polls/{hidden.pk}/share/").text
    )
    assert len(urls) == 2
    Question.objects.update(results="voted")
    for url in urls:
        for one in (voter, admin_client):
            assert one.get(url).status_code == 403
            assert one.get(url.partition("?")[0]).status_code != 403


@pytest.mark.parametrize("policy", ["always", "voted"])
def test_the_number_of_ballots_alone_is_the_same_for_all(voter, hidden, policy):
    """Neither the content nor its ETag tells that a ballot was changed, nor whose question it is."""
    Question.objects.update(results=policy)
    path = f"/polls/{hidden.pk}/turnout.json"
    before = voter.get(path)
    assert set(before.json()) == {
        "question",
        "ballots",
        "ballots_text",
        "ballots_number",
    }
    assert set(before.json()["question"]) == {"id", "state"}
    blue = hidden.choice_set.order_by("id").last()
    voter.post(f"/polls/{hidden.pk}/vote/", {"choice": blue.pk})
    for one in (voter, Client()):
        after = one.get(path)
        assert (after.content, after.headers["ETag"]) == (
            before.content,
            before.headers["ETag"],
        )


def test_asking_as_another_gives_nobody_more(client, hidden):
    for who in ("organiser", "voter", "ORGANISER", "1"):
        path = f"/polls/{hidden.pk}/results.json?as={who}"
        assert client.get(path).status_code == 403


@pytest.mark.parametrize(
    "policy, sentence",
    [
        (
            "voted",
            "Hidden from those who have not voted, until the close: do not project this page.",
        ),
        ("closed", "Hidden from voters until the close: do not project this page."),
        (
            "organisers",
            "Hidden from voters, after the close too: do not project this page.",
        ),
    ],
)
def test_hidden_results_say_so_to_who_sees_them(admin_client, hidden, policy, sentence):
    path = f"/polls/{hidden.pk}/results/"
    Question.objects.update(results=policy)
    assert sentence in admin_client.get(path).text
    Question.objects.update(results="always")
    assert "do not project" not in admin_client.get(path).text


@pytest.mark.parametrize("name", ["results.json", "results.svg", "results.csv"])
def test_who_withdraws_sees_no_more(voter, hidden, name):
    path = f"/polls/{hidden.pk}/{name}"
    answer = voter.get(path)
    match = {"If-None-Match": answer.headers.get("ETag", "*")}
    voter.post(f"/polls/{hidden.pk}/withdraw/")
    assert voter.get(path, headers=match).status_code == 403


@pytest.mark.parametrize(
    "name", ["results/", "results.json", "results.csv", "results.svg", "share/"]
)
def test_head_is_answered_as_get_is(voter, hidden, name):
    path = f"/polls/{hidden.pk}/{name}"
    for one in (voter, Client()):
        whole, head = one.get(path), one.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        told = f"{head.headers}" if one is not voter else ""
        assert not occurs(told, NUMBERS)


@pytest.mark.parametrize(
    "name",
    ["results/", "results.json", "results.csv", "results.svg", "share/", ""],
)
def test_no_cache_on_the_way_keeps_an_answer(voter, hidden, name):
    for one in (voter, Client()):
        answer = one.get(f"/polls/{hidden.pk}/{name}")
        assert {"private", "no-cache"} <= set(
            re.split(r",\s*", answer.headers["Cache-Control"])
        )


def test_a_refusal_says_who_sees_them_on_the_page_and_as_json(client, hidden):
    rule = "Results are shown to those who have voted, and to everyone after the poll has closed."
    for name in ("results.csv", "results/"):
        assert rule in client.get(f"/polls/{hidden.pk}/{name}").text
    answer = client.get(f"/polls/{hidden.pk}/results.json")
    assert answer.json() == {"error": rule, "status": 403}


def test_the_description_for_link_previews_has_no_numbers(client, hidden):
    page = client.get(f"/polls/{hidden.pk}/results/").text
    head = page.partition("</head>")[0]
    assert "Results are shown to those who have voted" in head
    assert not occurs(head, NUMBERS)


def test_the_rounds_of_a_ranked_poll_are_hidden_with_the_rest(client, ask):
    question = ask(
        "Which colour?", "Red", "Blue", "Green", kind="ranked", results="closed"
    )
    red, blue, green = question.choice_set.order_by("id").values_list("pk", flat=True)
    for n, ranks in enumerate([[red, blue], [blue, green], [green, red]]):
        cast(question, f"{n:032}", ranks)
    page = client.get(f"/polls/{question.pk}/results/")
    for word in ("Round 1", "Ahead", "lected"):
        assert word not in page.text
    assert client.get(f"/polls/{question.pk}/results.svg").status_code == 403
    assert "tally" not in page.context and "rounds" not in page.context
    question.close()
    assert "Round 1" in client.get(f"/polls/{question.pk}/results/").text


def test_an_account_that_may_not_organise_is_no_organiser(client, hidden):
    client.force_login(User.objects.create_user("ann"))
    assert client.get(f"/polls/{hidden.pk}/results.json").status_code == 403
    staff = User.objects.create_user("stan", is_staff=True)
    client.force_login(staff)
    assert client.get(f"/polls/{hidden.pk}/results.json").status_code == 403

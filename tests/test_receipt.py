"""The receipt: whoever has it sees that the ballot is counted, and for what."""

import pytest
from django.test import Client

from polls.codes import spell
from polls.models import Ballot, Question
from polls.serving import throttle
from polls.voting.cast import cast

NONE = "No ballot has this receipt"


@pytest.fixture
def receipt(client, question) -> str:
    red = question.choice_set.get(choice_text="Red")
    client.get(f"/polls/{question.pk}/")
    client.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    return Ballot.objects.get().receipt


def test_it_works(client, question, receipt):
    page = client.get(f"/polls/{question.pk}/results/").text
    assert f'href="/r/{receipt}/"' in page and spell(receipt) in page
    answer = Client().get(f"/r/{receipt}/")
    assert answer.status_code == 200
    assert "This ballot is counted" in answer.text
    assert '<bdi dir="auto">Red</bdi>' in answer.text and "Blue" not in answer.text


def test_it_shows_a_ranking_in_its_order(client, ask):
    question = ask("In which order?", "Red", "Blue", "Green", kind="ranked")
    red, blue, green = question.choice_set.order_by("id").values_list("pk", flat=True)
    ballot = cast(question, "a" * 32, [green, red])
    page = client.get(f"/r/{ballot.receipt}/").text
    assert page.index("Green") < page.index("Red") and "Blue" not in page


def test_no_one_elses_page_has_it(question, receipt):
    page = Client().get(f"/polls/{question.pk}/results/").text
    assert receipt not in page and spell(receipt) not in page


def test_changing_keeps_it(client, question, receipt):
    blue = question.choice_set.get(choice_text="Blue")
    client.post(f"/polls/{question.pk}/vote/", {"choice": blue.pk})
    assert Ballot.objects.get().receipt == receipt
    assert '<bdi dir="auto">Blue</bdi>' in client.get(f"/r/{receipt}/").text


def gone(receipt: str) -> bool:
    answer = Client().get(f"/r/{receipt}/")
    assert answer.status_code == 404
    assert answer.text.count('<form action="/r/"') == 1
    assert "Red" not in answer.text and "Which colour" not in answer.text
    return NONE in answer.text


def test_a_withdrawn_ballot_has_none(client, question, receipt):
    client.post(f"/polls/{question.pk}/withdraw/")
    assert gone(receipt)


def test_another_vote_after_it_was_withdrawn_has_a_new_one(client, question, receipt):
    client.post(f"/polls/{question.pk}/withdraw/")
    red = question.choice_set.get(choice_text="Red")
    client.post(f"/polls/{question.pk}/vote/", {"choice": red.pk})
    assert Ballot.objects.get().receipt != receipt and gone(receipt)


def test_a_deleted_poll_has_none(question, receipt):
    Question.objects.all().delete()
    assert gone(receipt)


def test_a_poll_that_gives_none_shows_none(client, question, receipt):
    Question.objects.update(receipts=False)
    page = client.get(f"/polls/{question.pk}/results/").text
    assert "Your vote is counted" in page
    assert receipt not in page and spell(receipt) not in page
    assert gone(receipt)


def test_it_stays_after_the_close(question, receipt):
    question.close()
    assert "This poll has closed." in Client().get(f"/r/{receipt}/").text


def test_it_forgives_what_people_mistype(client, question):
    ballot = Ballot(question=question, voter_key="a" * 32, receipt="01AB01CD01EF")
    ballot.save()
    for typed in (
        "01ab01cd01ef",
        "01AB-01CD-01EF",
        "OIAB OLCD oIeF",
        "olabolcdolef",
        "01ab\n01cd\r\n01ef\n",
    ):
        page = client.get("/r/", {"code": typed}, follow=True)
        assert page.redirect_chain[-1][0] == "/r/01AB01CD01EF/", typed
        assert page.status_code == 200


GARBAGE = [
    "a/b",
    "/",
    "..",
    "../admin/",
    "?",
    "%2F",
    "é",
    "x" * 3000,
    "A\nB",
    "A\r",
    "A#B",
    "A;B",
]
GARBAGE += ["A\x00B", "A\u2028B", "A\x85B", "%0A", "%ZZ", "\u202e"]


@pytest.mark.parametrize("typed", GARBAGE, ids=ascii)
def test_it_answers_garbage_with_one_sentence(client, db, typed):
    page = client.get("/r/", {"code": typed}, follow=True)
    assert page.status_code == 404
    assert NONE in page.text or "There is no poll or page at this address" in page.text


@pytest.mark.parametrize("typed", ["", " ", "- -", "\n", "\t\r", "\x00"])
def test_nothing_typed_shows_the_form(client, db, typed):
    page = client.get("/r/", {"code": typed})
    assert page.status_code == 200 and "Check a receipt" in page.text


def test_markup_in_it_is_text(client, db):
    page = client.get("/r/", {"code": "<script>x"}, follow=True).text
    assert "<script>X" not in page.upper().replace("&LT;", "")


def test_it_limits_wrong_receipts(client, question, receipt):
    for _ in range(throttle.CODES.free):
        assert client.get("/r/WRONG/").status_code == 404
    answer = client.get("/r/WRONG/")
    assert answer.status_code == 429
    assert "Wait a minute, then try again." in answer.text
    elsewhere = Client(REMOTE_ADDR="203.0.113.9").get("/r/WRONG/")
    assert elsewhere.status_code == 404


def test_a_right_receipt_passes_whatever_its_network_has_tried(client, receipt):
    for _ in range(throttle.CODES.free + 1):
        client.get("/r/WRONG/")
    assert client.get(f"/r/{receipt}/").status_code == 200


def test_right_receipts_do_not_count(client, receipt):
    for _ in range(throttle.CODES.free + 1):
        assert client.get(f"/r/{receipt}/").status_code == 200


def test_no_cache_and_no_memory_keeps_it(question, receipt):
    """It is right again at once when the ballot changes, for a visitor without cookies too."""
    assert "private" in Client().get(f"/r/{receipt}/").headers["Cache-Control"]
    assert '<bdi dir="auto">Red</bdi>' in Client().get(f"/r/{receipt}/").text
    cast(
        question,
        Ballot.objects.get().voter_key,
        [question.choice_set.get(choice_text="Blue").pk],
    )
    assert '<bdi dir="auto">Blue</bdi>' in Client().get(f"/r/{receipt}/").text

"""The picture of the results: nothing cut, in every script, in either direction, and small."""

from xml.etree import ElementTree

import pytest

from polls.voting.cast import cast

SVG = "{http://www.w3.org/2000/svg}"
LONG = "Which of the proposals for the renovation of the kitchen shall we take? " * 2
CHINESE = (
    "下一次会议应该在哪一天举行，才能让尽可能多的成员参加而不影响他们的工作安排呢？" * 2
)
THAI = "กรุงเทพมหานคร" * 10


def drawn(client, question, **headers: str) -> ElementTree.Element:
    answer = client.get(f"/polls/{question.pk}/results.svg", headers=headers)
    return ElementTree.fromstring(answer.content)


def lines(picture: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    found = picture.iter(f"{SVG}text")
    return [line for line in found if line.get("class") == kind]


@pytest.mark.parametrize("text", [LONG.strip(), CHINESE, THAI, "x" * 200, "W" * 200])
def test_a_long_title_is_wrapped_and_whole(client, ask, text):
    picture = drawn(client, ask(text, text, "Red"))
    for kind in ("title", "name"):
        written = [line.text for line in lines(picture, kind) if line.text != "Red"]
        assert len(written) > 2
        whole = "".join(written[: len(written)]).replace(" ", "")
        assert text.replace(" ", "") in whole
    ends = [int(line.get("y")) for line in picture.iter(f"{SVG}text")]
    assert max(ends) < int(picture.get("height"))


def test_a_letter_keeps_what_is_drawn_onto_it(client, ask):
    picture = drawn(client, ask("e\u0301" * 100, "Yes"))
    assert all(line.text[0] == "e" for line in lines(picture, "title"))


def test_an_arabic_text_ends_at_its_own_side(client, ask):
    question = ask("أي يوم؟", "الاثنين", "Tuesday")
    (title,) = lines(drawn(client, question), "title")
    assert (title.get("direction"), title.get("text-anchor")) == ("rtl", "end")
    assert title.get("x") == "28"
    arabic, english = lines(drawn(client, question), "name")[::2]
    assert arabic.get("direction") == "rtl" and not english.get("direction")


def test_in_arabic_all_of_it_is_mirrored(client, ask):
    question = ask("أي يوم؟", "الاثنين", "Tuesday")
    picture = drawn(client, question, **{"Accept-Language": "ar"})
    (title,) = lines(picture, "title")
    assert (title.get("x"), title.get("text-anchor")) == ("612", None)
    english = lines(picture, "name")[2]
    assert (english.get("x"), english.get("text-anchor")) == ("612", "end")


def test_large_numbers_are_grouped_and_places_are_not(client, ask, monkeypatch):
    question = ask("Which?", *(f"Choice {n}" for n in range(50)))
    question.choice_set.filter(choice_text="Choice 0").update(
        votes=12345, first_marks=12345, revision=12345
    )
    picture = drawn(client, question)
    assert "12,345 · 100.0%" in [line.text for line in lines(picture, "own")]
    assert "12,345 ballots, open." in [line.text for line in lines(picture, "small")]
    assert int(picture.get("height")) > 3000
    assert all(line.get("y").isdecimal() for line in picture.iter(f"{SVG}text"))


def test_of_many_rounds_the_last_are_drawn_and_the_others_told(client, ask):
    question = ask("Which?", *(f"Choice {n}" for n in range(50)), kind="ranked")
    choices = list(question.choice_set.order_by("id").values_list("pk", flat=True))
    for n, choice in enumerate(choices):
        cast(question, f"{n:032}", [choice])
    answer = client.get(f"/polls/{question.pk}/results.svg")
    assert len(answer.content) < 20_000
    picture = ElementTree.fromstring(answer.content)
    small = [line.text for line in lines(picture, "small")]
    assert [text for text in small if text.startswith("Round ")] == [
        f"Round {n}" for n in range(47, 51)
    ]
    assert "46 choices went out before." in small
    assert "Choice 0: 1, 1, 1, 1." in picture.find(f"{SVG}desc").text
    right = [
        float(bar.get("x")) + float(bar.get("width"))
        for bar in picture.iter(f"{SVG}rect")
        if "x" in bar.attrib
    ]
    assert max(right) <= 612


def test_it_is_a_white_card_on_every_device(client, question):
    text = client.get(f"/polls/{question.pk}/results.svg").text
    assert ".card{fill:#fff}" in text and "prefers-color-scheme" not in text

"""What is compressed, what is not, and that it reads the same."""

import gzip

import pytest
from django.test import Client

from polls.serving.compression import Body

GZIP = {"Accept-Encoding": "gzip, deflate, br"}


def ask_for(path: str, client: Client | None = None, **headers: str):
    return (client or Client()).get(path, headers=GZIP | headers)


def unpacked(answer) -> str:
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    return gzip.decompress(answer.content).decode()


@pytest.fixture
def many(ask):
    """A question whose every file is worth compressing."""
    return ask("Which?", *(f"Choice number {n} of this poll" for n in range(40)))


PUBLIC = ["", "results/", "share/", "results.json", "results.csv", "results.svg"]


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("is_kept", [False, True])
def test_it_works(request, many, name, is_kept):
    if is_kept:
        request.getfixturevalue("keeping")
    path = f"/polls/{many.pk}/{name}"
    for _ in range(2):
        plain, packed = Client().get(path), ask_for(path)
        assert "Content-Encoding" not in plain.headers
        assert len(packed.content) < len(plain.content) / 2
        for answer in (plain, packed):
            assert "Accept-Encoding" in answer.headers["Vary"]
        text = unpacked(packed)
        if name:
            assert text == plain.text
        else:
            assert "Choice number 39" in text and text.endswith("</html>\n")


@pytest.mark.usefixtures("keeping")
def test_a_compressed_ballot_page_has_a_token_for_each(many):
    path = f"/polls/{many.pk}/"
    visitors = [Client(enforce_csrf_checks=True) for _ in range(3)]
    pages = [unpacked(ask_for(path, visitor)) for visitor in visitors]
    fields = [page.split('csrfmiddlewaretoken" value="')[1] for page in pages]
    tokens = [field.split('"')[0] for field in fields]
    assert len(set(tokens)) == 3
    choice = many.choice_set.first().pk
    for visitor, token in zip(visitors, tokens):
        vote = {"choice": choice, "csrfmiddlewaretoken": token}
        assert visitor.post(f"{path}vote/", vote).status_code == 302


@pytest.mark.usefixtures("keeping")
def test_the_length_of_a_compressed_page_says_nothing_of_the_token(many):
    answers = [ask_for(f"/polls/{many.pk}/") for _ in range(20)]
    assert len({len(answer.content) for answer in answers}) == 1


@pytest.mark.parametrize("name", ["", "results/"])
def test_a_page_with_a_voters_own_choice_is_not_compressed(client, many, name):
    """Its length would tell the line which one it is."""
    client.get(f"/polls/{many.pk}/")
    choice = many.choice_set.first().pk
    client.post(f"/polls/{many.pk}/vote/", {"choice": choice})
    answer = ask_for(f"/polls/{many.pk}/{name}", client)
    assert "Content-Encoding" not in answer.headers
    assert unpacked(ask_for(f"/polls/{many.pk}/results.json", client))


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "gzip; q=0.0, br", "*;q=0"])
def test_who_does_not_take_it_does_not_get_it(many, accepted):
    answer = ask_for(f"/polls/{many.pk}/results/", **{"Accept-Encoding": accepted})
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip;q=0.5", "gzip;q=0.001"])
def test_who_takes_it_gets_it(many, accepted):
    path = f"/polls/{many.pk}/results/"
    assert unpacked(ask_for(path, **{"Accept-Encoding": accepted}))


def test_what_is_short_goes_as_it_is(question):
    answer = ask_for(f"/polls/{question.pk}/results.csv")
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("is_kept", [False, True])
def test_what_is_known_is_304_in_either_form(request, many, is_kept):
    if is_kept:
        request.getfixturevalue("keeping")
    path = f"/polls/{many.pk}/results.json"
    for known in [Client().get(path), ask_for(path)]:
        named = {"If-None-Match": known.headers["ETag"]}
        for again in [Client().get(path, headers=named), ask_for(path, **named)]:
            assert (again.status_code, again.content) == (304, b"")
            assert "Accept-Encoding" in again.headers["Vary"]


@pytest.mark.parametrize(
    "content, own",
    [
        (b"", b""),
        (b"abc", b""),
        (b"[token]", b"[token]"),
        (b"a[token]b[token]" * 500 + b"c", b"[token]"),
        ("ü [token] 漢字".encode() * 90, b"[token]"),
    ],
)
@pytest.mark.parametrize("other", [b"", b"x", b"\x00\xff" * 3000])
def test_it_is_a_gzip_file_with_anything_in_its_place(content, own, other):
    body = Body(content, own)
    there = other if own else b""
    for _ in range(2):
        plain = body.plain(there)
        assert plain == (content.replace(own, there) if own else content)
        assert gzip.decompress(body.gzipped(there)) == plain

"""Numbers that people read have their thousands apart; ids, which programs read, never do."""

import pytest

from polls.models import Ballot, Choice, Question
from polls.voting.cast import cast

ID = 1234567
WRITTEN = ("1,234,", "1.234.", "1\xa0234", "12,34,")


@pytest.fixture(params=["one", "several", "ranked"])
def question(ask, request) -> Question:
    question = ask("Which?", id=ID, kind=request.param, closes=1, may_embed=True)
    for pk, text in enumerate("ABC", ID + 1):
        Choice.objects.create(pk=pk, question=question, choice_text=text)
    for pk in question.choice_texts:
        cast(question, str(pk), [pk])
    return question


PAGES = ["", "results/", "share/", "embed/", "results.svg", "results.csv"]
ADMIN = ["change/", "live/", "share/", "close/", "delete/", "history/"]


@pytest.mark.parametrize("language", ["en", "de", "fr", "hi"])
def test_ids_on_pages_are_whole(client, question, language):
    client.cookies["language"] = language
    paths = [f"/polls/{ID}/{name}" for name in PAGES] + ["/polls/"]
    for path in paths:
        page = client.get(path)
        assert page.status_code == 200, path
        assert not any(text in page.text for text in WRITTEN), path


@pytest.mark.parametrize("language", ["en", "de"])
def test_ids_in_the_admin_are_whole(admin_client, question, language):
    admin_client.cookies["language"] = language
    paths = [f"/admin/polls/question/{ID}/{name}" for name in ADMIN]
    for path in [*paths, "/admin/polls/question/", "/admin/"]:
        page = admin_client.get(path, follow=True)
        assert page.status_code == 200, path
        assert not any(text in page.text for text in WRITTEN), path


def test_a_ballot_with_large_ids_is_counted(client, question):
    page = client.get(f"/polls/{ID}/").text
    name = "rank1" if question.kind == "ranked" else "choice"
    assert f'value="{ID + 1}"' in page
    before = Ballot.objects.count()
    wording = page.split('name="wording" value="')[1].split('"')[0]
    vote = {name: str(ID + 1), "wording": wording}
    client.post(f"/polls/{ID}/vote/", vote)
    assert Ballot.objects.count() == before + 1
    for name in ("", "results/"):
        assert not any(t in client.get(f"/polls/{ID}/{name}").text for t in WRITTEN)

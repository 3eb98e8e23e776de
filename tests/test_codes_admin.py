"""How an organiser makes invitation codes, hands them out, and voids the lost ones."""

import csv
import datetime
import io
import re
import time

import pytest
import segno
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.core.signing import Signer
from django.db import transaction
from django.utils import timezone

from polls.models import Invitation, Question
from polls.voting.cast import cast
from polls.voting.identity import identity_with_code, make_codes, voter_key
from tests.support.qr_reader import read_squares


@pytest.fixture
def invited(ask):
    return ask("Which colour?", "Red", "Blue", voters="codes")


def path(question):
    return f"/admin/polls/question/{question.pk}/codes/"


def make(client, question, number=3, after=0, how="sheet"):
    data = {"number": number, "after": after, "make": how}
    return client.post(path(question), data, follow=True)


def read_csv(answer):
    return list(csv.reader(io.StringIO(answer.text)))


def states(client, question):
    return client.get(path(question)).context["states"]


def test_it_works(client, admin_client, invited):
    """Organiser, paper, voter: the code on the sheet votes once."""
    page = make(admin_client, invited)
    code = page.context["slips"][1][1]
    assert code in page.text and "No. 2" in page.text and "Which colour?" in page.text
    client.get(f"/polls/{invited.pk}/code/{code}/")
    red = invited.choice_set.first().pk
    client.post(f"/polls/{invited.pk}/vote/", {"choice": red})
    assert states(admin_client, invited) == [("Used", 1, ""), ("Unused or void", 2, "")]
    invited.close()
    assert states(admin_client, invited) == [
        ("Unused", 2, "1, 3"),
        ("Used", 1, "2"),
        ("Void", 0, ""),
    ]


def test_every_slip_has_the_qr_code_of_its_link(admin_client, invited, settings):
    settings.SITE_URL = "https://polls.example.org"
    page = make(admin_client, invited, 20)
    for _, code, drawn in page.context["slips"]:
        link = f"https://polls.example.org/polls/{invited.pk}/code/{code.replace('-', '')}/"
        qr = segno.make_qr(link, error="m", boost_error=False, mask=3)
        rows = [list(row) for row in qr.matrix_iter(border=4)]
        assert read_squares(*drawn) == rows and drawn.path in page.text


def test_the_sheet_has_a_csv_beside_it(admin_client, invited):
    page = make(admin_client, invited)
    address = f"{path(invited)}1/codes.csv"
    assert f'href="{address}"' in page.text
    answer = admin_client.get(address)
    head, *rows = read_csv(answer)
    assert head == ["number", "code", "link"]
    assert [row[1] for row in rows] == [code for _, code, _ in page.context["slips"]]
    for row in rows:
        assert identity_with_code(invited, row[1]) and row[2].startswith("http://")
    assert Invitation.objects.count() == 3


def test_the_csv_can_be_had_alone(admin_client, invited):
    answer = make(admin_client, invited, how="csv")
    assert 'filename="poll-' in answer.headers["Content-Disposition"]
    assert [row[0] for row in read_csv(answer)] == ["number", "1", "2", "3"]


def everything_in_the_database():
    """Return all that the tables hold, sessions decoded."""
    rows = [list(model.objects.values_list()) for model in apps.get_models()]
    sessions = [session.get_decoded() for session in Session.objects.all()]
    return f"{rows} {sessions}"


def test_codes_are_kept_nowhere(admin_client, invited):
    answers = [make(admin_client, invited), make(admin_client, invited, 1, 3, "csv")]
    for answer in answers:
        assert "no-store" in answer.headers["Cache-Control"]
    kept = everything_in_the_database()
    assert Invitation.objects.first().voter_key in kept
    seeds = [sheet.seed for sheet in sheets_of(admin_client, invited)]
    codes = [code for _, code, _ in answers[0].context["slips"]]
    assert len(seeds) == 2 and len(codes) == 3
    for secret in [*seeds, *codes, *(code.replace("-", "") for code in codes)]:
        assert secret not in kept
        assert secret not in admin_client.get(path(invited)).text


def sheets_of(client, question):
    return client.get(path(question)).context["sheets"]


def test_a_sheet_comes_back_for_some_minutes(admin_client, invited, monkeypatch):
    """By Back, Forward and Reload, and from the page of the codes."""
    page = make(admin_client, invited)
    slips = page.context["slips"]
    sheet = f"{path(invited)}1/"
    assert page.redirect_chain == [(sheet, 302)]
    assert admin_client.get(sheet).context["slips"] == slips
    assert f'href="{sheet}"' in admin_client.get(path(invited)).text
    assert read_csv(admin_client.get(f"{sheet}codes.csv"))[2][1] == slips[1][1]
    later = timezone.now() + datetime.timedelta(minutes=15)
    monkeypatch.setattr(timezone, "now", lambda: later)
    for address in (sheet, f"{sheet}codes.csv"):
        page = admin_client.get(address, follow=True)
        assert page.redirect_chain == [(path(invited), 302)]
        assert "Nobody can show these codes again." in page.text
    assert not page.context["sheets"] and Invitation.objects.count() == 3


def cookie(client):
    return next(c for name, c in client.cookies.items() if name.startswith("sheet"))


def test_a_sheet_is_for_the_browser_of_who_made_it(client, admin_client, invited, db):
    slips = make(admin_client, invited).context["slips"]
    kept, sheet = cookie(admin_client), f"{path(invited)}1/"
    assert kept["httponly"] and kept["max-age"] == 900
    assert kept["path"] == path(invited)
    other = User.objects.create_superuser("other")
    for who in (None, other):
        if who:
            client.force_login(who)
        client.cookies[kept.key] = kept.value
        assert slips[0][1] not in client.get(sheet, follow=True).text
    del admin_client.cookies[kept.key]
    assert slips[0][1] not in admin_client.get(sheet, follow=True).text


def test_a_sheet_is_not_forged(admin_client, invited):
    make(admin_client, invited)
    name, value = cookie(admin_client).key, cookie(admin_client).value
    another = Signer(salt="polls.others").sign_object([invited.pk, 1, "x", 1, 1, 9e9])
    for forged in ("", "x", value[:-1], f"x{value}", another):
        admin_client.cookies[name] = forged
        page = admin_client.get(f"{path(invited)}1/", follow=True)
        assert "Nobody can show these codes again." in page.text
    # Of another sheet, or another poll.
    admin_client.cookies[f"sheet{invited.pk}-2"] = value
    page = admin_client.get(f"{path(invited)}2/", follow=True)
    assert "Nobody can show these codes again." in page.text


def test_a_poll_that_has_forgotten_its_voters_shows_no_sheet(admin_client, invited):
    make(admin_client, invited)
    Question.objects.update(voter_salt="")
    page = admin_client.get(f"{path(invited)}1/", follow=True)
    assert "Nobody can show these codes again." in page.text
    Question.objects.update(voter_salt="another")
    page = admin_client.get(f"{path(invited)}1/", follow=True)
    assert "Nobody can show these codes again." in page.text


@pytest.mark.parametrize(
    "may_change, words",
    [(True, "sees how you voted, and can change it."), (False, "sees how you voted.")],
)
def test_a_slip_says_what_a_used_one_tells(admin_client, invited, may_change, words):
    Question.objects.update(may_change=may_change)
    page = make(admin_client, invited, 1)
    assert page.text.count(f"Keep it to yourself: whoever scans it later {words}") == 1
    link = f"http://testserver/polls/{invited.pk}/"
    assert f'type the code at <bdi dir="ltr">{link}</bdi></p>' in page.text


def test_a_slip_is_in_the_language_of_the_poll(admin_client, invited):
    Question.objects.update(language="de")
    page = make(admin_client, invited, 1).text
    assert '<ol class="slips" lang="de">' in page and '<h3 lang="de"' in page
    # One that the site does not speak.
    Question.objects.update(language="eo")
    page = make(admin_client, invited, 1, after=1).text
    assert '<ol class="slips" lang="en">' in page and '<h3 lang="eo"' in page


def test_a_page_sent_twice_makes_no_codes_twice(admin_client, invited):
    make(admin_client, invited)
    page = make(admin_client, invited)
    assert "Codes up to number 3 were made since this page was loaded." in page.text
    assert Invitation.objects.count() == 3
    make(admin_client, invited, 1, after=3)
    assert Invitation.objects.last().number == 4


@pytest.mark.parametrize("number", ["", "0", "-1", "10001", "abc", "1.5", "٣x"])
def test_it_rejects_a_number_out_of_range(admin_client, invited, number):
    page = make(admin_client, invited, number)
    assert page.text.count("Make 1 to 10,000 codes at a time.") == 1
    assert Invitation.objects.count() == 0


def test_it_rejects_a_question_that_takes_no_more(admin_client, invited):
    invited.close()
    assert "The poll has closed: nobody" in make(admin_client, invited).text
    Question.objects.update(voter_salt="")
    assert "has been erased" in make(admin_client, invited).text
    assert Invitation.objects.count() == 0


def void_all(client, question):
    data = {"void_all": "on", "sure": "yes"}
    return client.post(path(question), data, follow=True).text


def void(client, question, numbers):
    data = {"numbers": numbers, "void": "on"}
    return client.post(path(question), data, follow=True).text


def test_it_voids_some(admin_client, invited):
    codes = dict(make_codes(invited, 9))
    voter = identity_with_code(invited, codes[3])
    cast(invited, voter_key(invited, voter), [invited.choice_set.first().pk])
    void(admin_client, invited, "2, 5 – 6,9")
    assert "those that have not voted are void now" in void(
        admin_client, invited, "2-3"
    )
    invited.close()
    page = void(admin_client, invited, "2-3")
    assert "Voided: 0. Used or void before, and left as they were: 2." in page
    assert states(admin_client, invited) == [
        ("Unused", 4, "1, 4, 7–8"),
        ("Used", 1, "3"),
        ("Void", 4, "2, 5–6, 9"),
    ]


@pytest.mark.parametrize("numbers", ["٢، ٤–٥", "2，4-5", "२, ४ - ५"])
def test_it_takes_the_digits_and_commas_of_any_keyboard(admin_client, invited, numbers):
    make_codes(invited, 6)
    void(admin_client, invited, numbers)
    unused = Invitation.objects.filter(voided_at=None)
    assert sorted(unused.values_list("number", flat=True)) == [1, 3, 6]


def test_it_voids_all_that_are_unused(admin_client, invited):
    make_codes(invited, 5)
    Question.objects.update(pub_date=timezone.now() + datetime.timedelta(hours=1))
    void(admin_client, invited, "3")
    assert "Voided: 4 codes." in void_all(admin_client, invited)


def test_it_asks_before_it_voids_all(admin_client, invited):
    codes = dict(make_codes(invited, 5))
    page = admin_client.post(path(invited), {"void_all": "on"}).text
    assert "The other 5 codes will not" in page and "voted: their" not in page
    voter = identity_with_code(invited, codes[3])
    cast(invited, voter_key(invited, voter), [invited.choice_set.first().pk])
    page = admin_client.post(path(invited), {"void_all": "on"}).text
    assert "1 code has voted: its vote stays." in page
    assert "The other 4 codes will not vote any more" in page
    assert not Invitation.objects.exclude(voided_at=None).exists()
    page = void_all(admin_client, invited)
    assert "Done: no code votes any more that has not voted." in page
    assert Invitation.objects.exclude(voided_at=None).count() == 4


def watch(client, question, used):
    """Return all that an organiser sees of a poll while the codes with these numbers vote, one after the other."""
    codes = dict(make_codes(question, 8))
    choices = question.choice_set.order_by("id").values_list("pk", flat=True)
    change = f"/admin/polls/question/{question.pk}"
    seen = []
    for turn, number in enumerate(used):
        voter = voter_key(question, identity_with_code(question, codes[number]))
        cast(question, voter, [choices[turn % 2]])
        # What is void cannot vote: this is the last that they try.
        last = ["2, 4", "5", "1-3"] if turn == 2 else []
        seen += [void(client, question, numbers) for numbers in last]
        if last:
            seen.append(client.post(path(question), {"void_all": "on"}).text)
            seen.append(void_all(client, question))
        seen.append(client.get(path(question)).text)
        seen += [client.get(f"{change}/{page}/").text for page in ("change", "delete")]
    history = client.get(f"{change}/history/").text
    seen.append(re.sub(r"(?s)<th scope=.row.>.*?</th>", "", history))
    # The token of the page, and the clock of its form.
    moving = r'(?<=csrfmiddlewaretoken" value=")\w+|where it is [\d:]+'
    return [re.sub(moving, "", page) for page in seen]


def test_an_organiser_who_watches_ties_no_number_to_a_vote(admin_client, invited):
    """Whichever codes vote in whatever order, and whatever is voided to find out, all that is seen is the same."""
    seen = []
    for used in ([5, 7, 1], [1, 5, 6], [8, 2, 4]):
        with transaction.atomic():
            seen.append(watch(admin_client, invited, used))
            transaction.set_rollback(True)
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize(
    "numbers, sentence",
    [
        ("", "Say which codes are to be void, such as 3, 17-20."),
        ("1-", "“1-” is not a number."),
        ("all", "“all” is not a number."),
        ("1, x", "“x” is not a number."),
        ("0", "There is no code 0: the last number is 3."),
        ("2-4", "There is no code 2-4: the last number is 3."),
        ("3-1", "There is no code 3-1: the last number is 3."),
        ("1-999999999", "There is no code 1-999999999"),
        ("1," * 900, "Void fewer codes at a time."),
    ],
)
def test_it_rejects_numbers_that_are_not_there(
    admin_client, invited, numbers, sentence
):
    make_codes(invited, 3)
    assert void(admin_client, invited, numbers).count(sentence) == 1
    assert not Invitation.objects.exclude(voided_at=None).exists()


def test_only_a_question_with_codes_has_the_button(admin_client, question):
    change = f"/admin/polls/question/{question.pk}/change/"
    assert "_codes" not in admin_client.get(change).text
    page = admin_client.post(path(question), {"number": 1, "make": "csv"}, follow=True)
    assert "This poll takes no invitation codes." in page.text
    Question.objects.update(voters="codes")
    assert 'name="_codes"' in admin_client.get(change).text
    assert Invitation.objects.count() == 0


def test_it_requires_permission_to_change(client, invited):
    assert client.get(path(invited)).status_code == 302
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_question"))
    client.force_login(viewer)
    assert client.get(path(invited)).status_code == 403
    assert make(client, invited).status_code == 403
    assert "_codes" not in client.get(path(invited)[:-6] + "change/").text
    assert Invitation.objects.count() == 0


def test_an_unknown_question_has_no_codes(admin_client, db):
    assert admin_client.get("/admin/polls/question/999/codes/").status_code == 404


def test_markup_stays_text(admin_client, invited):
    Question.objects.update(question_text="<script>alert(1)</script>")
    for page in (admin_client.get(path(invited)), make(admin_client, invited)):
        assert "<script>alert" not in page.text


@pytest.mark.once
def test_a_large_sheet_is_drawn_at_once(admin_client, invited):
    start = time.process_time()
    page = make(admin_client, invited, 2_000)
    assert page.text.count("<svg") > 2_000
    assert time.process_time() - start < 4


def test_the_page_takes_as_many_queries_for_any_number_of_codes(
    admin_client, invited, django_assert_num_queries
):
    for number in (1, 10_000):
        make_codes(invited, number)
        with django_assert_num_queries(5):
            admin_client.get(path(invited))


@pytest.mark.parametrize("url, warned", [("", False), ("http://localhost:8000", True)])
def test_it_warns_of_links_that_no_phone_can_open(
    admin_client, invited, settings, url, warned
):
    """Without SITE_URL they lead to where the organiser is: here testserver."""
    settings.SITE_URL = url
    assert ("no phone can open" in admin_client.get(path(invited)).text) == warned

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from polls.models import Choice, Question
from polls.voting.cast import cast
from polls.voting.identity import make_codes
from tests.support.admin_forms import LIST, act, change_path, form, load, read_form


def test_it_adds_a_question_with_its_choices(admin_client):
    response = admin_client.post(f"{LIST}add/", form())
    assert response.status_code == 302
    question = Question.objects.get()
    assert [c.choice_text for c in question.choice_set.order_by("id")] == [
        "Left",
        "Right",
    ]


def test_it_speaks_of_polls_as_the_site_does(admin_client, question):
    """Who pressed “Add a poll” comes to a page of that name, and what is saved is called so."""
    assert "<h1>Polls</h1>" in admin_client.get(LIST).text
    add, path = admin_client.get(f"{LIST}add/").text, change_path(question)
    assert "<h1>Add poll</h1>" in add and "Voting</a>\n&rsaquo;" in add
    assert "Accounts</a>" in add and "Authentication and Authorization" not in add
    page = admin_client.post(path, load(admin_client, question), follow=True).text
    assert "The poll “<a" in page and "Delete selected polls" in page


def test_the_language_of_the_poll_may_be_left_unsaid(admin_client):
    page = admin_client.get(f"{LIST}add/").text
    assert '<option value="" selected>Not said</option>' in page
    assert "---------" not in page.split('id="id_language"')[1].split("</select>")[0]
    admin_client.post(f"{LIST}add/", form(language=""))
    assert Question.objects.get().language == ""


@pytest.mark.parametrize("choices", [[], ["Left"]])
def test_it_requires_two_choices(admin_client, choices):
    page = admin_client.post(f"{LIST}add/", form(choices=choices))
    assert "A poll needs at least 2 choices." in page.text
    assert Question.objects.count() == 0


def test_choices_are_put_in_order_as_text(admin_client, question):
    """A line moved, one between, one without its spaces, an empty one: the rows stay, the texts go where they belong."""
    before = list(question.choice_set.order_by("pk").values_list("pk", flat=True))
    sent = load(admin_client, question) | {"choices": "Blue\r\n\r\n  Green \r\nRed\r\n"}
    assert admin_client.post(change_path(question), sent).status_code == 302
    after = question.choice_set.order_by("pk").values_list("pk", "choice_text")
    assert [text for _, text in after] == ["Blue", "Green", "Red"]
    assert [pk for pk, _ in after][:2] == before


@pytest.mark.parametrize(
    "choices, sentence",
    [
        (["Left", "x" * 201], "Line 2 is too long. A choice has room for 200"),
        (["Left", "Right", "Left"], "Two choices are the same."),
        (map(str, range(1001)), "A poll has room for 1000 choices."),
        (["Left", "Ri\0ght"], "Null characters are not allowed."),
    ],
)
def test_it_rejects_a_list_of_choices(admin_client, choices, sentence):
    page = admin_client.post(f"{LIST}add/", form(choices=choices))
    assert sentence in page.text
    assert Question.objects.count() == 0


def test_it_says_that_at_most_is_more_than_there_are(admin_client):
    page = admin_client.post(
        f"{LIST}add/", form(kind="several", max_choices="9"), follow=True
    )
    assert "“At most” is 9, and there are 2 choices" in page.text
    assert Question.objects.get().max_choices == 9


def test_without_a_day_it_opens_at_once(admin_client):
    page = read_form(admin_client.get(f"{LIST}add/"))
    assert page["pub_date_0"] == page["pub_date_1"] == ""
    admin_client.post(f"{LIST}add/", form(pub_date_0="", pub_date_1=""))
    assert Question.objects.get().was_published_recently()


def test_a_day_needs_no_time(admin_client, settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    day = {"pub_date_0": "2031-02-03", "closes_at_0": "2031-02-03"}
    admin_client.post(f"{LIST}add/", form(pub_date_1="", **day))
    question = Question.objects.get()
    assert question.pub_date.isoformat() == "2031-02-02T15:00:00+00:00"
    assert question.closes_at.isoformat() == "2031-02-03T14:59:00+00:00"


def test_a_time_needs_a_day(admin_client):
    page = admin_client.post(f"{LIST}add/", form(closes_at_1="10:00"))
    assert "Choose a day as well." in page.text


def test_the_form_names_its_zone(admin_client, settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    assert "Times are those of Asia/Tokyo" in admin_client.get(f"{LIST}add/").text


def test_a_moment_that_stays_keeps_its_seconds(admin_client, question):
    before = Question.objects.get().pub_date
    sent = load(admin_client, question)
    admin_client.post(change_path(question), sent | {"results": "closed"})
    assert Question.objects.get().pub_date == before
    admin_client.post(
        change_path(question),
        load(admin_client, question) | {"pub_date_0": "", "pub_date_1": ""},
    )
    assert Question.objects.get().pub_date > before


def test_it_rejects_closing_before_opening(admin_client):
    more = {"closes_at_0": "2001-01-01", "closes_at_1": "00:00:00"}
    page = admin_client.post(f"{LIST}add/", form(**more))
    assert (
        "The poll would close before it opens: choose a later moment for “Closes”."
        in page.text
    )


def test_one_choice_ignores_the_numbers_of_the_others(admin_client):
    """The numbers are hidden by a style; what a page without it sends is one choice all the same."""
    more = {"min_choices": "x", "max_choices": "7"}
    admin_client.post(f"{LIST}add/", form(**more))
    question = Question.objects.get()
    assert (question.min_choices, question.max_choices) == (1, None)


def test_a_kind_that_becomes_one_choice_takes_its_numbers_along(admin_client, question):
    Question.objects.update(kind="several", min_choices=2, max_choices=2)
    data = form("?", ["Red", "Blue"])
    data |= {"min_choices": "2", "max_choices": "2"}
    admin_client.post(f"{LIST}{question.pk}/change/", data)
    question.refresh_from_db()
    assert (question.kind, question.min_choices, question.max_choices) == (
        "one",
        1,
        None,
    )


def test_it_requires_as_many_choices_as_a_ballot_does(admin_client):
    page = admin_client.post(f"{LIST}add/", form(kind="several", min_choices="3"))
    assert "A ballot needs at least 3 choices, and there are 2." in page.text
    assert Question.objects.count() == 0


def test_it_rejects_more_ranks_than_there_is_room_for(admin_client):
    page = admin_client.post(f"{LIST}add/", form(kind="ranked", max_choices="51"))
    assert "A ranking has room for 50." in page.text
    assert Question.objects.count() == 0


def test_it_lists_who_votes(admin_client, question):
    Question.objects.update(voters="codes")
    page = admin_client.get(LIST).text
    assert '<td class="field-who_votes">By invitation code</td>' in page


def test_it_counts_ballots_and_not_marks(admin_client, question):
    Question.objects.update(kind="several")
    question.refresh_from_db()
    cast(question, "a" * 32, list(question.choice_set.values_list("pk", flat=True)))
    page = admin_client.get(LIST)
    assert 'aria-label="1, live">1</a>' in page.text


def test_it_lists_state_dates_and_ballots(admin_client, ask):
    ask("Later?", opens=1)
    ask("Over?", opens=-2, closes=-1)
    now = ask("Now?", "Yes", "No")
    cast(now, "a" * 32, [now.choice_set.first().pk])
    page = admin_client.get(LIST)
    rows = {q.question_text: q.ballots for q in page.context["cl"].result_list}
    assert rows == {"Later?": 0, "Over?": 0, "Now?": 1}
    for state in ("Scheduled", "Open", "Closed"):
        assert f">{state}</span></td>" in page.text


@pytest.mark.parametrize("state", ["scheduled", "open", "closed"])
def test_it_filters_by_state(admin_client, ask, state):
    ask("scheduled", opens=1)
    ask("closed", opens=-2, closes=-1)
    ask("open")
    page = admin_client.get(LIST, {"state": state})
    assert [q.question_text for q in page.context["cl"].result_list] == [state]


def test_it_searches(admin_client, ask):
    ask("Tea?")
    ask("Coffee?")
    page = admin_client.get(LIST, {"q": "tea"})
    assert [q.question_text for q in page.context["cl"].result_list] == ["Tea?"]


def hidden(page):
    """Return what the form of a page posts."""
    inputs = re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', page.text)
    return {name: value for name, value in inputs if name != "csrfmiddlewaretoken"}


def test_close_now_asks_first(admin_client, question, ask):
    cast(question, "a" * 32, [question.choice_set.first().pk])
    page = act(admin_client, "close_now", question, ask("<b>Later?", opens=1))
    assert "Which colour?</a> (1 ballot)" in page.text and "Later?" not in page.text
    assert "Not open, and left as they are: 1." in page.text
    assert "people have voted on cannot be opened again." in page.text
    assert Question.objects.closed().count() == 0


def test_close_now_closes_what_its_page_named(admin_client, question, ask):
    ask("Another?")
    sent = hidden(act(admin_client, "close_now", question))
    page = admin_client.post(LIST, sent, follow=True)
    assert "Closed: 1." in page.text
    assert Question.objects.closed().get() == question
    logged = LogEntry.objects.get()
    assert (logged.object_repr, logged.change_message) == (
        "Which colour?",
        "Closed now.",
    )


def test_close_now_leaves_what_is_not_open(admin_client, question, ask):
    page = act(admin_client, "close_now", ask("Later?", opens=1))
    assert "Not open, and left as they were: 1." in page.text
    sent = hidden(act(admin_client, "close_now", question))
    question.close()
    closed = Question.objects.get(pk=question.pk).closes_at
    page = admin_client.post(LIST, sent, follow=True)
    assert "Not open, and left as they were: 1." in page.text
    assert Question.objects.get(pk=question.pk).closes_at == closed


def test_an_open_question_has_a_button_to_close_it(admin_client, question):
    button = '<button form="question_form" name="_close">'
    assert button in admin_client.get(change_path(question)).text
    question.close()
    assert button not in admin_client.get(change_path(question)).text
    page = admin_client.get(f"{LIST}{question.pk}/close/", follow=True)
    assert "This poll is not open." in page.text


@pytest.mark.parametrize(
    "step, words",
    [
        ("_share", "<h1>Share</h1>"),
        ("_codes", "<h1>Invitation codes</h1>"),
        ("_close", "<h1>Close now?</h1>"),
        ("_duplicate", "This is the copy."),
    ],
)
def test_a_button_above_the_form_saves_first(admin_client, question, step, words):
    """Also without a script: it sends the form."""
    sent = load(admin_client, question) | {"voters": "codes", step: ""}
    page = admin_client.post(change_path(question), sent, follow=True)
    assert words in page.text and "What you changed was saved first." in page.text
    if step == "_close":
        assert f'<form method="post" action="{LIST}">' in page.text
    assert Question.objects.order_by("pk").first().voters == "codes"
    sent["loaded"] = load(admin_client, question)["loaded"]
    page = admin_client.post(change_path(question), sent, follow=True)
    assert words in page.text and "saved first" not in page.text


@pytest.mark.parametrize("step", ["_share", "_codes", "_close", "_duplicate"])
def test_a_button_above_the_form_leaves_no_page_that_cannot_be_saved(
    admin_client, question, step
):
    sent = load(admin_client, question) | {"question_text": "", step: ""}
    page = admin_client.post(change_path(question), sent)
    assert "This field is required." in page.text
    assert Question.objects.get().is_open


def test_the_enter_key_presses_save(admin_client, question):
    """It presses the first button of a form, wherever that stands."""
    page = admin_client.get(change_path(question)).text
    first = re.search(r'<button form="question_form" name="(\w+)"', page)
    assert first and first[1] == "_save"


def test_duplicate_makes_a_scheduled_copy(admin_client, question):
    act(admin_client, "duplicate", question)
    assert Question.objects.scheduled().get().choice_set.count() == 2


def test_it_leads_to_the_public_page(admin_client, question):
    page = admin_client.get(f"{LIST}{question.pk}/change/").text
    assert "View on site" in page
    link = page.split('class="viewsitelink"')[0].rsplit('href="', 1)[1].split('"')[0]
    target = admin_client.get(link).headers["Location"]
    assert target.endswith(f"/polls/{question.pk}/")


def test_votes_cannot_be_written(admin_client, question):
    red = question.choice_set.order_by("id").first()
    data = form("Forged?", ["Red", "Blue"], **{"votes": "99", "choice-votes": "99"})
    admin_client.post(f"{LIST}{question.pk}/change/", data)
    assert Question.objects.get().question_text == "Forged?"
    assert Choice.objects.get(pk=red.pk).votes == 0


def test_ballots_have_no_page(admin_client, question):
    for model in ("ballot", "mark", "choice"):
        assert admin_client.get(f"/admin/polls/{model}/").status_code == 404


def test_a_question_is_deleted_with_its_ballots(admin_client, question):
    cast(question, "a" * 32, [question.choice_set.first().pk])
    admin_client.post(f"{LIST}{question.pk}/delete/", {"post": "yes"})
    assert Question.objects.count() == 0


def test_deleting_says_that_it_is_final_and_what_goes(admin_client, question, ask):
    """On the page of one poll, and for those that are selected in the list."""
    cast(question, "a" * 32, [question.choice_set.first().pk])
    one = admin_client.get(f"{LIST}{question.pk}/delete/").text
    assert "keep the results, close the poll instead." in one
    selected = act(admin_client, "delete_selected", question, ask("When?")).text
    for page in (one, selected):
        assert "This is final: the ballots go too" in page
        assert f"<bdi>{question}</bdi> (1 ballot)" in page
    assert "<bdi>When?</bdi> (0 ballots)" in selected


def test_deleting_says_how_many_codes_go_along(admin_client, question):
    make_codes(question, 3)
    page = admin_client.get(f"{LIST}{question.pk}/delete/").text
    assert "Invitation codes: 3" in page or "invitation codes: 3" in page


def test_markup_is_shown_as_text(admin_client, ask):
    question = ask("<script>alert(1)</script>", "<b>x</b>")
    for path in (LIST, f"{LIST}{question.pk}/change/"):
        page = admin_client.get(path).text
        assert "<script>alert" not in page and "<b>x" not in page


def test_it_requires_an_organiser(client, question):
    assert client.get(LIST).status_code == 302
    act(client, "close_now", question, sure="yes")
    assert Question.objects.get().is_open


def test_actions_require_their_permission(client, question):
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_question"))
    client.force_login(viewer)
    act(client, "close_now", question)
    act(client, "close_now", question, sure="yes")
    act(client, "duplicate", question)
    assert "Close now" not in client.get(f"{LIST}{question.pk}/change/").text
    assert Question.objects.open().count() == Question.objects.count() == 1


@pytest.mark.parametrize("number", [10, 10_000])
def test_the_list_takes_a_fixed_number_of_queries(
    admin_client, django_assert_num_queries, number
):
    questions = [Question(question_text=f"Question {n}?") for n in range(number)]
    Question.objects.bulk_create(questions)
    with django_assert_num_queries(5):
        assert (
            admin_client.get(reverse("admin:polls_question_changelist")).status_code
            == 200
        )


def test_the_list_sums_the_ballots_of_its_own_page_only(
    admin_client, ask, django_assert_num_queries
):
    """In a query of its own: a subquery is worked out for all pages before on PostgreSQL."""
    asked = [ask(f"Question {n}?", "Yes", "No") for n in range(101)]
    cast(asked[0], "a" * 32, [asked[0].choice_set.first().pk])
    with django_assert_num_queries(5) as queries:
        page = admin_client.get(f"{LIST}?p=2")
    assert [q.ballots for q in page.context["cl"].result_list] == [1]
    sums = [query["sql"] for query in queries if "SUM(" in query["sql"]]
    assert len(sums) == 1
    assert f"IN ({asked[0].pk})" in sums[0] and "LIMIT" not in sums[0]


@pytest.mark.parametrize("number", [2, 50])
def test_the_page_of_a_question_takes_a_fixed_number_of_queries(
    admin_client, ask, django_assert_num_queries, number
):
    question = ask("Many?", *map(str, range(number)))
    cast(question, "a" * 32, [question.choice_set.first().pk])
    # Django keeps the content types that the first page has asked for.
    admin_client.get(change_path(question))
    with django_assert_num_queries(6):
        admin_client.get(change_path(question))


@pytest.mark.parametrize(
    "zone, field, day",
    [
        ("Asia/Tokyo", "pub_date", "0001-01-01"),
        ("America/New_York", "closes_at", "9999-12-31"),
    ],
)
def test_it_rejects_a_day_that_has_no_moment_in_utc(
    admin_client, settings, zone, field, day
):
    settings.TIME_ZONE = zone
    page = admin_client.post(f"{LIST}add/", form(**{f"{field}_0": day}))
    assert page.status_code == 200 and "Enter a valid date." in page.text
    assert not Question.objects.exists()


def test_it_offers_to_show_all_where_some_are_left_out(admin_client, ask):
    ask("When?")
    assert "Show all" not in admin_client.get(LIST).text
    for query in ("?q=Where", "?state=closed"):
        assert "Show all" in admin_client.get(f"{LIST}{query}").text

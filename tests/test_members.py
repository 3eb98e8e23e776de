"""Accounts by the list: an organiser pastes names, and each member sets a password with a link that works once."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from polls.admin.members import MOST
from polls.serving.logs import clean
from tests.support.ballots import vote

LIST = "/admin/auth/user/"
PAGE = f"{LIST}members/"
WORDS = "ann's own words"


def paste(client: Client, *lines: str) -> str:
    return client.post(PAGE, {"members": "\n".join(lines)}).text


def links(sheet: str) -> list[str]:
    return re.findall(r">http://testserver(/accounts/set/\S+/)<", sheet)


def choose(link: str, words: str = WORDS, client: Client | None = None) -> Client:
    """Open the link as its holder does, and choose this password."""
    client = client or Client()
    form = client.get(link, follow=True)
    fields = {"new_password1": words, "new_password2": words}
    client.post(form.request["PATH_INFO"], fields)
    return client


def wrong(page: str) -> list[str]:
    (errors,) = re.findall(r'<ul class="errorlist".*?</ul>', page, re.DOTALL)
    return re.findall(r"<li>(.*?)</li>", errors)


@pytest.fixture
def link(admin_client) -> str:
    return links(paste(admin_client, "ann"))[0]


def test_it_works(admin_client, ask):
    sheet = paste(admin_client, "ann", "", "bob, Organisers")
    ann, bob = User.objects.get(username="ann"), User.objects.get(username="bob")
    assert not ann.is_staff and not ann.has_usable_password()
    assert bob.is_staff and [str(group) for group in bob.groups.all()] == ["Organisers"]
    first, second = links(sheet)
    assert ">ann</h2>" in sheet and "It works once, until" in sheet
    question = ask("Which colour?", "Red", "Blue", voters="accounts")
    assert vote(choose(first), question).status_code == 302
    assert question.ballot_set.count() == 1
    organiser = choose(second)
    assert "Add a poll" in organiser.get("/admin/").text


def test_the_slips_are_printed_with_a_button(admin_client):
    """Without its script it is hidden: a browser prints by its menu."""
    sheet = paste(admin_client, "ann")
    assert re.search(r"<button [^>]*data-print hidden>Print</button>", sheet)
    assert re.search(r'<script src="[^"]*polls/admin\b[^"]*" defer>', sheet)


def test_it_says_whom_to_ask_where_links_lead_nowhere(admin_client, settings):
    settings.SITE_URL = "http://localhost:8000"
    told = "ask whoever runs the site to set SITE_URL"
    assert told in admin_client.get(PAGE).text
    assert told in paste(admin_client, "ann")


@pytest.mark.parametrize("mark", [",", ";", "\t", "،", "，"])
def test_between_columns_stands_what_people_put_there(admin_client, mark):
    paste(admin_client, f"ann{mark} Organisers")
    assert User.objects.get(username="ann").groups.get().name == "Organisers"


def test_who_has_chosen_a_password_logs_in_with_it(link):
    page = choose(link).get("/accounts/password/done/").text
    assert "You are signed in as <bdi>ann</bdi>." in page
    fields = {"username": "ann", "password": WORDS}
    assert Client().post("/accounts/login/", fields).status_code == 302


def test_a_link_works_once(link):
    choose(link)
    assert Client().get(link).status_code == 404
    choose(link, "other words entirely")
    assert User.objects.get(username="ann").check_password(WORDS)


def test_to_look_at_it_does_not_use_it_up(link):
    for _ in range(3):
        assert Client().get(link, follow=True).status_code == 200


def test_a_link_ends(link, settings):
    assert settings.PASSWORD_RESET_TIMEOUT == 14 * 24 * 3600
    settings.PASSWORD_RESET_TIMEOUT = -1
    page = Client().get(link)
    assert page.status_code == 404
    assert "Ask the organisers for another." in page.text


@pytest.mark.parametrize("damage", ["x", "set-password", "c7x-" + "0" * 32])
def test_a_forged_link_opens_nothing(link, damage):
    uid = link.split("/")[3]
    assert Client().get(f"/accounts/set/{uid}/{damage}/").status_code == 404
    assert Client().get(f"/accounts/set/{damage}/{damage}/").status_code == 404


def test_a_weak_password_is_refused_with_a_sentence(link):
    client = Client()
    form = client.get(link, follow=True)
    fields = {"new_password1": "ann", "new_password2": "ann"}
    page = client.post(form.request["PATH_INFO"], fields)
    assert "This password is too short." in page.text
    assert not User.objects.get(username="ann").has_usable_password()


def test_it_names_all_that_is_wrong_by_line_and_makes_nothing(admin_client):
    User.objects.create_user("Dora")
    page = paste(admin_client, "ann", "b b", "", "ann", "dora", "eve, Nobodies")
    first, *others = wrong(page)
    assert first.startswith("Line 2, “b b”: Enter a valid username.")
    assert others == [
        "Line 4: “ann” stands in line 1 already.",
        "Line 5: there is an account “dora” already.",
        "Line 6: there is no group “Nobodies”.",
    ]
    assert "No account was made." in page and "eve, Nobodies" in page
    assert not User.objects.filter(username="ann")


def test_a_long_list_of_errors_is_cut(admin_client):
    errors = wrong(paste(admin_client, *["no name"] * 100))
    assert len(errors) == 21 and errors[-1].startswith("And ")


def test_it_makes_so_many_at_a_time(admin_client):
    names = [f"member{n}" for n in range(MOST + 1)]
    assert f"Make at most {MOST} accounts" in wrong(paste(admin_client, *names))[0]
    assert not User.objects.filter(username="member1")


@pytest.mark.parametrize(
    "line", ["ann\tOrganisers", "ann;Organisers", "ann,Organisers"]
)
def test_it_reads_what_a_spreadsheet_copies(admin_client, line):
    paste(admin_client, line)
    assert User.objects.get(username="ann").groups.get().name == "Organisers"


def test_a_group_without_rights_makes_nobody_staff(admin_client):
    Group.objects.create(name="Class 3b")
    paste(admin_client, "ann, Class 3b")
    assert not User.objects.get(username="ann").is_staff


def test_organisers_make_no_accounts(ask):
    user, client = User.objects.create_user("olga", is_staff=True), Client()
    user.groups.add(Group.objects.get(name="Organisers"))
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{LIST}links/").status_code == 403


def test_a_lost_link_is_made_again(admin_client, link):
    ann = User.objects.get(username="ann")
    data = {"action": "make_links", "_selected_action": [ann.pk]}
    (again,) = links(admin_client.post(LIST, data).text)
    choose(again)
    assert Client().get(link).status_code == 404


def test_the_links_are_there_as_a_file(admin_client, link):
    ann = User.objects.get(username="ann")
    file = admin_client.post(f"{LIST}links/", {"user": [ann.pk]})
    head, row = file.text.splitlines()
    assert head == "name,link" and row.startswith("ann,http://testserver/accounts/set/")
    choose(row.removeprefix("ann,http://testserver"))
    ann.refresh_from_db()
    assert ann.check_password(WORDS)


def test_who_looks_after_accounts_gets_no_superusers(admin_user):
    helper, client = User.objects.create_user("helper", is_staff=True), Client()
    names = ["add_user", "change_user", "view_user"]
    helper.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(helper)
    data = {"action": "make_links", "_selected_action": [admin_user.pk]}
    assert not links(client.post(LIST, data, follow=True).text)
    file = client.post(f"{LIST}links/", {"user": [admin_user.pk]})
    assert file.text.splitlines() == ["name,link"]


def test_no_log_has_a_link(link):
    line = f"GET {link} HTTP/1.1"
    assert clean(line) == "GET /accounts/set/- HTTP/1.1"


@pytest.fixture
def ann(db) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("ann", password=WORDS))
    return client


def change(client: Client, old: str, new: str = "other words entirely"):
    fields = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post("/accounts/password/", fields)


def test_whoever_has_an_account_changes_its_password(ann):
    elsewhere = Client()
    elsewhere.force_login(User.objects.get())
    assert 'autocomplete="current-password"' in ann.get("/accounts/password/").text
    assert change(ann, WORDS).headers["Location"] == "/accounts/password/done/"
    assert (
        "You are signed in as <bdi>ann</bdi>."
        in ann.get("/accounts/password/done/").text
    )
    assert User.objects.get().check_password("other words entirely")
    assert elsewhere.get("/accounts/password/").status_code == 302


def test_the_old_one_is_asked_for(ann):
    page = change(ann, "guessed")
    assert "Your old password was entered incorrectly." in page.text
    assert page.text.count("autofocus") == 1
    assert User.objects.get().check_password(WORDS)


def test_who_guesses_the_old_one_has_to_wait(ann):
    for _ in range(10):
        assert change(ann, "guessed").status_code == 200
    assert change(ann, WORDS).status_code == 429
    assert User.objects.get().check_password(WORDS)


def test_strangers_log_in_first(client):
    for path in ("/accounts/password/", "/accounts/password/done/"):
        answer = client.get(path)
        assert answer.headers["Location"] == f"/accounts/login/?next={path}"


def test_a_poll_for_accounts_leads_there(ann, ask):
    question = ask("Which colour?", "Red", "Blue", voters="accounts")
    assert 'href="/accounts/password/"' in ann.get(f"/polls/{question.pk}/").text


def test_djangos_own_page_does_not_go_around_the_wait(admin_client):
    answer = admin_client.post("/admin/password_change/", {"old_password": "guessed"})
    assert answer.headers["Location"] == "/accounts/password/"


def test_a_line_without_end_is_refused_with_a_sentence(admin_client):
    page = admin_client.post(PAGE, {"members": "a" * 140_000})
    assert page.status_code == 200 and "at most 100000 characters" in page.text


def test_links_in_a_file_are_in_the_log_too(admin_client):
    ann = User.objects.create_user("ann")
    admin_client.post(f"{LIST}links/", {"user": [ann.pk, "9" * 30]})
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.is_change()) == (str(ann.pk), True)

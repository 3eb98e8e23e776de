"""A person votes, in Chromium, with JavaScript and without."""

import re
import secrets

import pytest
from playwright.sync_api import Page, expect

from tests.support.waiting import wait_until

pytestmark = pytest.mark.once
under_both = pytest.mark.parametrize(
    "site", ["gunicorn polls.wsgi", "uvicorn polls.asgi:application"], indirect=True
)


def vote(page: Page, question: int, choice: str) -> None:
    page.goto(f"/polls/{question}/")
    page.get_by_label(choice).check()
    press(page)


def press(page: Page) -> None:
    page.locator("main").get_by_role("button").click()


@under_both
def test_it_works(page, site):
    text = f"Which colour {secrets.token_hex(4)}?"
    question = site.ask(text)
    link = page.get_by_role("link", name=text)
    # A page may come from memory for a second.
    wait_until(lambda: page.goto("/") and link.count())
    link.click()
    page.get_by_label("Blue").check()
    page.get_by_role("button", name="Vote", exact=True).click()
    expect(page).to_have_url(f"{site.base}/polls/{question}/results/")
    expect(page.get_by_role("row", name="Blue")).to_contain_text("Your vote")
    expect(page.get_by_role("row", name="Blue")).to_contain_text("100.0%")
    assert site.counts(question) == (1, 1)


@under_both
def test_a_vote_can_be_changed(page, site):
    question = site.ask()
    vote(page, question, "Red")
    page.get_by_role("link", name="Change your vote").click()
    expect(page.get_by_label("Red")).to_be_checked()
    page.get_by_label("Blue").check()
    page.get_by_role("button", name="Change your vote").click()
    expect(page.get_by_role("row", name="Blue")).to_contain_text("Your vote")
    expect(page.get_by_role("row", name="Red")).to_contain_text("0.0%")
    assert site.counts(question) == (1, 1)


@under_both
def test_a_double_click_is_one_vote(page, site):
    question = site.ask()
    page.goto(f"/polls/{question}/")
    page.get_by_label("Red").check()
    page.locator("main").get_by_role("button").dblclick()
    # The second click may end the first one's way there, for which wait_for_url() raises an error.
    expect(page).to_have_url(re.compile("/results/$"))
    assert site.counts(question) == (1, 1)


def test_forgetting_to_choose_is_said_where_the_eyes_are(page, site):
    question = site.ask()
    page.goto(f"/polls/{question}/")
    press(page)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("You didn't select a choice.")
    expect(alert).to_be_focused()
    assert page.title().startswith("Error: ")
    expect(page.get_by_role("radiogroup")).to_have_accessible_description(
        "You didn't select a choice."
    )
    alert.get_by_role("link").click()
    expect(page.get_by_label("Red")).to_be_focused()
    assert site.counts(question) == (0, 0)


def test_a_poll_that_closes_meanwhile_says_so(page, site):
    question = site.ask()
    page.goto(f"/polls/{question}/")
    page.get_by_label("Red").check()
    site.close(question)
    press(page)
    expect(page.get_by_role("alert")).to_contain_text("This poll closed on")
    expect(page.get_by_role("alert")).to_contain_text("Your vote was not counted.")
    assert site.counts(question) == (0, 0)


def test_the_keyboard_is_enough(page, site):
    question = site.ask()
    page.goto(f"/polls/{question}/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    # The name of the site, the way to log in, the first choice.
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_label("Red")).to_be_checked()
    page.keyboard.press("Enter")
    page.wait_for_url("**/results/")
    assert site.counts(question) == (1, 1)


def test_markup_is_shown_not_run(page, site):
    question = site.ask("<img src=x onerror=alert(1)>", "<b>Red</b>", "Blue")
    page.goto(f"/polls/{question}/")
    expect(page.get_by_role("heading")).to_have_text("<img src=x onerror=alert(1)>")
    expect(page.get_by_label("<b>Red</b>")).to_be_visible()


def test_several_are_counted_as_the_rule_says(page, site):
    question = site.ask(
        "Which?", "Red", "Blue", "Green", kind="several", min_choices=2, max_choices=2
    )
    vote(page, question, "Blue")
    expect(page.get_by_role("alert")).to_contain_text("Select at least 2 choices.")
    expect(page.get_by_role("group", name="Which?")).to_contain_text(
        "Select 2 choices."
    )
    expect(page.get_by_label("Blue")).to_be_checked()
    page.get_by_label("Green").check()
    page.get_by_role("button", name="Vote").click()
    expect(page.get_by_role("row", name="Your vote")).to_have_count(2)
    assert site.counts(question) == (2, 1)


def test_it_says_at_once_how_many_are_chosen(phone, site):
    boats = [f"Boat {n}" for n in range(30)]
    question = site.ask("Which?", *boats, kind="several", max_choices=2)
    phone.goto(f"/polls/{question}/")
    count = phone.get_by_role("main").get_by_role("status")
    expect(count).to_have_text("0 of 2 chosen")
    # Below a long list too, it is where the eyes are.
    expect(count).to_be_in_viewport()
    for n in range(3):
        phone.get_by_label(f"Boat {n}", exact=True).check()
    expect(count).to_have_text("3 chosen, but at most 2 are taken. Untick some.")
    # Nobody is held up: what is refused is said in words.
    expect(phone.get_by_role("button", name="Vote")).to_be_enabled()
    phone.get_by_label("Boat 1", exact=True).uncheck()
    expect(count).to_have_text("2 of 2 chosen")
    phone.get_by_role("button", name="Vote").tap()
    phone.wait_for_url("**/results/")
    phone.go_back()
    expect(count).to_have_text("2 of 2 chosen")


def test_the_stylesheet_counts_where_no_script_does(reader, site):
    question = site.ask("Which?", "Red", "Blue", "Green", kind="several", max_choices=2)
    reader.goto(f"/polls/{question}/")
    reader.get_by_label("Red").check()
    session = reader.context.new_cdp_session(reader)
    tree = session.send("Accessibility.getFullAXTree")["nodes"]
    said = [node["name"]["value"] for node in tree if "name" in node]
    assert said[said.index(" of 2 chosen") - 1] == "1"


def test_a_code_is_grouped_while_it_is_typed(visitor, site):
    question = site.ask(voters="codes")
    visitor.goto(f"/polls/{question}/")
    field = visitor.get_by_label("Invitation code")
    field.press_sequentially("abcd1234ef")
    expect(field).to_have_value("ABCD-1234-EF")
    for _ in range(3):
        field.press("Backspace")
    expect(field).to_have_value("ABCD-123")
    field.press("Home")
    field.press_sequentially("zz")
    expect(field).to_have_value("ZZAB-CD12-3")
    assert field.evaluate("field => field.selectionStart") == 2
    field.fill(" abcd efgh-jkmn ")
    expect(field).to_have_value("ABCD-EFGH-JKMN")


def test_a_vote_can_be_withdrawn(page, site):
    question = site.ask()
    vote(page, question, "Red")
    page.get_by_role("link", name="Change your vote").click()
    page.get_by_text("Withdraw your vote").click()
    page.get_by_role("link", name="No, keep it").click()
    expect(page.get_by_label("Red")).to_be_checked()
    assert site.counts(question) == (1, 1)
    page.get_by_text("Withdraw your vote").click()
    page.get_by_role("button", name="Yes, withdraw it").click()
    expect(page.get_by_role("status")).to_contain_text("Your vote was withdrawn.")
    expect(page.get_by_label("Red")).not_to_be_checked()
    page.reload()
    expect(page.get_by_role("status")).to_have_count(0)
    assert site.counts(question) == (0, 0)


def test_a_final_vote_is_shown_without_a_form(page, site):
    question = site.ask(may_change=False)
    vote(page, question, "Red")
    page.get_by_role("link", name="Your vote").click()
    expect(page.get_by_text("votes on this poll are final")).to_be_visible()
    expect(page.get_by_role("listitem")).to_have_text("Red")
    expect(page.locator("main").get_by_role("button")).to_have_count(0)


def test_a_code_is_typed_once(page, site):
    question = site.ask(voters="codes")
    code = site.shell(
        "from polls.models import Question\nfrom polls.voting.identity import make_codes\n"
        f"print(make_codes(Question.objects.get(pk={question}), 1)[0][1])"
    )
    page.goto(f"/polls/{question}/")
    page.get_by_label("Invitation code").fill("WRONG")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("That is not a code of this poll")
    field = page.get_by_label("Invitation code")
    expect(field).to_be_focused()
    expect(field).to_have_value(re.compile("WRON-?G"))
    page.get_by_label("Invitation code").fill(f"{code[:4]}-{code[4:]}".lower())
    page.get_by_role("button", name="Continue").click()
    vote(page, question, "Red")
    expect(page.get_by_role("row", name="Red")).to_contain_text("Your vote")


def log_in(page: Page, password: str = "a good password") -> None:
    page.get_by_label("User name").fill("ann")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_logging_in_keeps_the_choice(page, site):
    question = site.ask(voters="accounts")
    site.add_account("ann", "a good password")
    page.goto(f"/polls/{question}/")
    expect(page.get_by_text("You will be asked to log in")).to_be_visible()
    vote(page, question, "Blue")
    log_in(page, "a bad password")
    expect(page.get_by_role("alert")).to_contain_text("do not match an account")
    log_in(page)
    expect(page.get_by_text("Signed in as ann.")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("not counted yet")
    expect(page.get_by_label("Blue")).to_be_checked()
    page.get_by_role("button", name="Vote").click()
    expect(page.get_by_role("row", name="Blue")).to_contain_text("Your vote")
    page.goto(f"/polls/{question}/")
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{site.base}/polls/{question}/")
    expect(page.get_by_label("Blue")).not_to_be_checked()


def test_a_receipt_is_found_by_typing(page, site):
    question = site.ask()
    vote(page, question, "Blue")
    receipt = page.locator(".receipt a").text_content()
    page.get_by_role("link", name="Check a receipt").click()
    page.get_by_label("Receipt").fill(receipt.lower())
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("This ballot is counted")
    expect(page.get_by_role("listitem")).to_have_text("Blue")


LONG = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen" * 3


@pytest.mark.parametrize(
    "promises",
    [
        {"kind": "ranked"},
        {"kind": "several"},
        {"voters": "codes"},
        {"voters": "accounts"},
        {"results": "organisers"},
    ],
    ids=lambda promises: "-".join(promises.values()),
)
def test_every_page_fits_a_phone(phone, site, promises):
    question = site.ask("Which?", LONG, "Blue", **promises)
    pages = [f"/polls/{question}/{name}" for name in ("", "results/", "share/")]
    for path in [*pages, "/accounts/login/", "/r/", f"/r/{LONG}/"]:
        phone.goto(path)
        width = phone.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, path


def test_it_fits_a_phone(phone, site):
    question = site.ask("What a " + "long" * 40 + " word?", LONG, "Blue")
    for path in ("/polls/", f"/polls/{question}/", f"/polls/{question}/results/"):
        phone.goto(path)
        width = phone.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, path
    phone.goto(f"/polls/{question}/")
    box = phone.get_by_text("Blue").locator("xpath=..").bounding_box()
    assert box["height"] >= 44, "too small for a thumb"
    phone.get_by_text("Blue").tap()
    phone.locator("main").get_by_role("button").tap()
    expect(phone.get_by_role("row", name="Blue")).to_contain_text("Your vote")

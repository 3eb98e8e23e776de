"""Every page that a person can meet, in each of its states: axe, the Nu checker and the screenshots look at the same ones."""

import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Response

    from tests.support.servers import Site

LUNCH = ("Noodles at the corner", "Pizza", "Whatever the canteen has", "I bring my own")
COUNTRIES = """
    Argentina Bolivia Brazil Canada Chile China Colombia Cuba Denmark Ecuador Egypt Finland France Germany Ghana
    Greece Guatemala Haiti Honduras Hungary Iceland India Indonesia Ireland Israel Italy Jamaica Japan Kenya
    Lebanon Malta Mexico Morocco Nepal Netherlands Nigeria Norway Pakistan Panama Peru Poland Portugal Romania
    Senegal Spain Sweden Thailand Tunisia Turkey Vietnam
"""
LONG_WORD = (
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
)
ARABIC = ("الأحد صباحًا", "الإثنين مساءً", "لا فرق عندي")
SCRIPTS = (
    "日本語と中文",
    "हिन्दी में एक लम्बा विकल्प",
    "עברית?",
    "🎉 party 🕺🏽",
    "<b>bold</b>",
)


@dataclass
class Poll:
    """A poll as it is made; each character of `ballots` is the number of a choice, each word a ballot."""

    text: str
    choices: tuple[str, ...] = ("Red", "Blue")
    ballots: str = ""
    # Whether the voter of the gallery has a ballot on it too, for the first choice.
    own: bool = False
    # Hours from now.
    opens: float = -50
    closes: float | None = 70
    promises: dict[str, object] = field(default_factory=dict)


def _poll(*words: Any, **more: Any) -> Poll:
    own = {
        name: more.pop(name)
        for name in ("ballots", "own", "opens", "closes")
        if name in more
    }
    return Poll(*words, **own, promises=more)  # fmt: skip


MANY = " ".join("1112223344"[n % 10] for n in range(58))
RANKINGS = " ".join(["123", "12", "21", "31", "32", "3", "413", "42", "234"] * 4)
POLLS = {
    "one": _poll("What shall we have for lunch on Friday?", LUNCH, ballots=MANY),
    "voted": _poll("Shall the office be closed between the years?", ("Yes", "No", "I do not mind"), ballots="1 1 2 3 1", own=True),
    "unvoted": _poll("Where shall we meet?", ("Here", "There"), closes=None),
    "several": _poll("Which evenings would suit you?", ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"), ballots="12 13 245 1 5 35", kind="several", min_choices=1, max_choices=3),
    "ranked": _poll("What shall the new meeting room be called?", ("Ada", "Curie", "Noether", "Lovelace"), ballots=RANKINGS, kind="ranked"),
    "ranked_own": _poll("Which film do we watch?", ("Metropolis", "Playtime", "Stalker"), ballots="12 21 321", own=True, kind="ranked"),
    "final": _poll("Who is to speak for us?", ("Ines", "Jonas"), ballots="1 2 2", own=True, may_change=False),
    "codes": _poll("Do you accept the budget?", ("Yes", "No", "Abstain"), voters="codes", results="closed"),
    "accounts": _poll("Which day is the works outing?", ("Thursday", "Friday"), voters="accounts", ballots="1 2"),
    "after_vote": _poll("Cats or dogs?", ("Cats", "Dogs"), ballots="1 1 2", results="voted"),
    "after_close": _poll("Which logo do you like best?", ("The leaf", "The wave"), ballots="1 1 2 2 2", results="closed"),
    "own_after_close": _poll("Which colour for the door?", ("Green", "Blue"), ballots="1 2", own=True, results="closed"),
    "withdrawn": _poll("Shall we begin at nine?", ("Yes", "No")),
    "organisers": _poll("How was the workshop?", ("Good", "Bad"), ballots="1 1 2", results="organisers"),
    "closed": _poll("Which city hosts the next meeting?", ("Lisbon", "Leipzig", "Kraków"), ballots=MANY.replace("4", "1"), own=True, opens=-500, closes=-2),
    "tie": _poll("Heads or tails?", ("Heads", "Tails"), ballots="1 2 1 2", opens=-500, closes=-3),
    "closed_unvoted": _poll("Did anybody see this?", ("Yes", "No"), opens=-500, closes=-4),
    "closed_several": _poll("Which fruit shall we order?", ("Apples", "Pears", "Plums"), ballots="12 13 1 3", opens=-500, closes=-4, kind="several"),
    "closed_ranked": _poll("What is the new name of the club?", ("Tide", "Ebb", "Flow", "Spring"), ballots=RANKINGS, opens=-500, closes=-5, kind="ranked"),
    "fifty": _poll("Where shall we travel?", tuple(COUNTRIES.split()), ballots=MANY),
    "fifty_ranked": _poll("Where shall we travel first?", tuple(COUNTRIES.split()), ballots="", kind="ranked", opens=-500, closes=-6),
    "five": _poll("Which of the five?", LUNCH + ("Soup",), ballots=MANY + " 5 5"),
    "seven": _poll("Which day of the week?", ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), ballots=MANY + " 5 6 7"),
    "long": _poll(f"{LONG_WORD * 2}?", (LONG_WORD, "A choice that is described at some length, so that it takes two lines or three on a phone and is still one choice", "No"), ballots="1 2 2 3"),
    "arabic": _poll("متى نجتمع في الأسبوع القادم؟", ARABIC, ballots="1 1 2 3 3 3", own=True),
    "scripts": _poll("日本語, हिन्दी, עברית and 🎉 in one?", SCRIPTS, ballots="1 2 3 4 5 5", kind="several"),
    "framed": _poll("Which song opens the evening?", ("The first", "The second"), ballots="1 1 2", may_embed=True),
    "no_choices": _poll("A question without choices", ()),
    "later": _poll("What comes next?", opens=30, closes=60),
}  # fmt: skip

# The identity of whoever votes in the gallery.
VOTER = "a-browser-of-the-gallery"


def make() -> None:
    """Make all polls in the site's own process, and print where they are and who is who."""
    from django.contrib.auth.models import User
    from django.http import HttpResponse
    from django.test import Client

    from polls.models import Question
    from polls.voting.identity import (
        identity_with_code,
        make_codes,
        remember_identity,
        voter_key,
    )

    User.objects.create_superuser("olga", password="a good password")
    User.objects.create_user("vera", password="a good password")
    made = {name: _make_poll(poll) for name, poll in POLLS.items()}
    _rank_all(made["fifty_ranked"])
    codes = [code for _, code in make_codes(made["codes"], 30)]
    browser, holder = HttpResponse(), HttpResponse()
    remember_identity(browser, made["one"], VOTER)
    invited = identity_with_code(made["codes"], codes[0])
    remember_identity(holder, made["codes"], invited)
    cookies = {"voter": _cookies(browser.cookies), "holder": _cookies(holder.cookies)}
    for name in ("olga", "vera"):
        client = Client()
        client.force_login(User.objects.get(username=name))
        cookies[name] = _cookies(client.cookies)
    own = made["voted"].own_ballot(voter_key(made["voted"], VOTER))
    ids = dict(Question.objects.values_list("question_text", "pk"))
    places = {name: ids[poll.text] for name, poll in POLLS.items()}
    print(json.dumps({"places": places | {"receipt": own.receipt, "code": codes[1], "void": "WRONGCODE"}, "cookies": cookies}))  # fmt: skip


def _cookies(jar: Any) -> dict[str, str]:
    return {name: morsel.value for name, morsel in jar.items()}


def _make_poll(poll: Poll) -> Any:
    from django.utils import timezone

    from polls.models import Choice, Question
    from polls.voting.cast import cast
    from polls.voting.identity import voter_key

    now = timezone.now()
    hours = lambda n: now + datetime.timedelta(hours=n)
    question = Question.objects.create(
        question_text=poll.text, pub_date=hours(poll.opens), **poll.promises
    )
    for text in poll.choices:
        Choice.objects.create(question=question, choice_text=text)
    ids = list(question.choice_set.order_by("id").values_list("pk", flat=True))
    for n, numbers in enumerate(poll.ballots.split()):
        cast(question, f"{n:032}", [ids[int(number) - 1] for number in numbers])
    if poll.own:
        cast(question, voter_key(question, VOTER), ids[:1])
    if poll.closes is not None:
        Question.objects.filter(pk=question.pk).update(closes_at=hours(poll.closes))
    return question


def _rank_all(question: Any) -> None:
    """Let 60 voters rank all 50 choices, each beginning elsewhere; and close it again."""
    from polls.models import Question
    from polls.voting.cast import cast

    own = Question.objects.filter(pk=question.pk)
    end = own.get().closes_at
    own.update(closes_at=None)
    ids = list(question.choice_set.order_by("id").values_list("pk", flat=True))
    for n in range(60):
        start = n * n % 50
        cast(own.get(), f"{n:032}", ids[start:] + ids[:start])
    own.update(closes_at=end)


@dataclass(frozen=True)
class Sight:
    """A page in one of its states: where it is, who looks at it, and what is done on it first."""

    name: str
    path: str
    who: str = ""
    steps: "Callable[[Page], object] | None" = None
    kind: str = "public"


def _send(page: "Page") -> None:
    """Send the form of the page as it is."""
    page.locator("main form").locator("[type=submit], button:not([type])").first.click()
    page.wait_for_load_state("load")


def _too_many(page: "Page") -> None:
    for box in page.locator("main input[name=choice]").all():
        # A script may hold the voter to what a ballot takes.
        if box.is_enabled():
            box.press("Space")
    _send(page)


def _withdraw(page: "Page") -> None:
    """Vote, and take the vote back."""
    page.locator("main input[name=choice]").first.press("Space")
    _send(page)
    page.goto(page.url.replace("results/", ""))
    _open_all(page)
    page.locator("form[action$='/withdraw/'] [type=submit]").click()
    page.wait_for_load_state("load")


def _wrong_code(page: "Page") -> None:
    page.locator("main input[name=code]").first.fill("WRONG234")
    _send(page)


def _wrong_password(page: "Page") -> None:
    page.locator("[name=username]").fill("olga")
    page.locator("[name=password]").fill("wrong")
    _send(page)


def _open_all(page: "Page") -> None:
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


def _admin_save(page: "Page") -> None:
    page.locator("[name=_save]").first.click()
    page.wait_for_load_state("load")


def _make_sheet(page: "Page") -> None:
    page.locator("[name=number]").fill("12")
    page.locator("[name=make]").first.click()
    page.wait_for_load_state("load")


def _import_nonsense(page: "Page") -> None:
    page.locator("textarea").first.fill("- question: Alone?\n  choices: [One]\n")
    page.locator("form[data-busy] button, form[data-busy] [type=submit]").first.click()
    page.wait_for_load_state("load")


def _void_all(page: "Page") -> None:
    page.locator("[name=void_all]").click()
    page.wait_for_load_state("load")


def _act(action: str) -> "Callable[[Page], None]":
    def act(page: "Page") -> None:
        page.locator("tr", has_text="Where shall we meet?").get_by_role(
            "checkbox"
        ).check()
        page.locator("[name=action]").select_option(action)
        page.locator("[name=index], .actions [type=submit]").first.click()
        page.wait_for_load_state("load")

    return act


_ADMIN = "/admin/polls/question/"
SIGHTS = [
    Sight("index", "/polls/"),
    Sight("index, second page", "/polls/?page=2"),
    Sight("index, voter", "/polls/", "voter"),
    Sight("index, organiser", "/polls/", "olga"),
    Sight("ballot, one", "/polls/{one}/"),
    Sight("ballot, opened", "/polls/{one}/", steps=_open_all),
    Sight("ballot, several", "/polls/{several}/"),
    Sight("ballot, ranked", "/polls/{ranked}/"),
    Sight("ballot, one, error", "/polls/{one}/", steps=_send),
    Sight("ballot, several, error", "/polls/{several}/", steps=_send),
    Sight("ballot, several, too many", "/polls/{several}/", steps=_too_many),
    Sight("ballot, ranked, error", "/polls/{ranked}/", steps=_send),
    Sight("ballot, own", "/polls/{voted}/", "voter", _open_all),
    Sight("ballot, ranked, own", "/polls/{ranked_own}/", "voter"),
    Sight("ballot, final", "/polls/{final}/", "voter"),
    Sight("ballot, withdrawn", "/polls/{withdrawn}/", "voter", _withdraw),
    Sight("ballot, code", "/polls/{codes}/"),
    Sight("ballot, code, wrong", "/polls/{codes}/", steps=_wrong_code),
    Sight("ballot, coded", "/polls/{codes}/", "holder", _open_all),
    Sight("code, another one", "/polls/{codes}/code/{code}/", "holder"),
    Sight("ballot, accounts", "/polls/{accounts}/"),
    Sight("ballot, accounts, in", "/polls/{accounts}/", "vera"),
    Sight("ballot, closed", "/polls/{closed}/"),
    Sight("ballot, results later", "/polls/{after_close}/"),
    Sight("ballot, fifty", "/polls/{fifty}/"),
    Sight("ballot, long words", "/polls/{long}/"),
    Sight("ballot, arabic", "/polls/{arabic}/"),
    Sight("ballot, scripts", "/polls/{scripts}/"),
    Sight("ballot, no choices", "/polls/{no_choices}/"),
    Sight("results", "/polls/{one}/results/"),
    Sight("results, opened", "/polls/{closed}/results/", steps=_open_all),
    Sight("results, voted", "/polls/{voted}/results/", "voter"),
    Sight("results, no votes", "/polls/{unvoted}/results/"),
    Sight("results, several", "/polls/{several}/results/"),
    Sight("results, ranked", "/polls/{ranked}/results/"),
    Sight("results, ranked, own", "/polls/{ranked_own}/results/", "voter", _open_all),
    Sight("results, after vote", "/polls/{after_vote}/results/"),
    Sight("results, after close", "/polls/{after_close}/results/"),
    Sight("results, after close, voted", "/polls/{own_after_close}/results/", "voter"),
    Sight("results, organisers", "/polls/{organisers}/results/"),
    Sight("results, organisers, organiser", "/polls/{organisers}/results/", "olga"),
    Sight("results, closed", "/polls/{closed}/results/", "voter"),
    Sight("results, tie", "/polls/{tie}/results/"),
    Sight("results, closed, no votes", "/polls/{closed_unvoted}/results/"),
    Sight("results, closed, several", "/polls/{closed_several}/results/"),
    Sight("results, closed, ranked", "/polls/{closed_ranked}/results/", steps=_open_all),
    Sight("results, fifty", "/polls/{fifty}/results/"),
    Sight("results, fifty ranked", "/polls/{fifty_ranked}/results/", steps=_open_all),
    Sight("results, long words", "/polls/{long}/results/"),
    Sight("results, arabic", "/polls/{arabic}/results/", "voter"),
    Sight("results, scripts", "/polls/{scripts}/results/"),
    Sight("results, codes", "/polls/{codes}/results/"),
    Sight("wall", "/polls/{one}/share/", kind="wall"),
    Sight("wall, no votes", "/polls/{unvoted}/share/", kind="wall"),
    Sight("wall, ranked", "/polls/{ranked}/share/", kind="wall"),
    Sight("wall, hidden", "/polls/{after_close}/share/", "olga", kind="wall"),
    Sight("wall, closed", "/polls/{closed}/share/", kind="wall"),
    Sight("wall, tie", "/polls/{tie}/share/", kind="wall"),
    Sight("wall, closed, ranked", "/polls/{closed_ranked}/share/", kind="wall"),
    Sight("wall, five", "/polls/{five}/share/", kind="wall"),
    Sight("wall, seven", "/polls/{seven}/share/", kind="wall"),
    Sight("wall, fifty", "/polls/{fifty}/share/", kind="wall"),
    Sight("wall, fifty ranked", "/polls/{fifty_ranked}/share/", kind="wall"),
    Sight("wall, long words", "/polls/{long}/share/", kind="wall"),
    Sight("wall, arabic", "/polls/{arabic}/share/", kind="wall"),
    Sight("frame", "/polls/{framed}/embed/"),
    Sight("receipt, form", "/r/"),
    Sight("receipt", "/r/{receipt}/"),
    Sight("receipt, unknown", "/r/{void}/"),
    Sight("log in", "/accounts/login/"),
    Sight("log in, failed", "/accounts/login/", steps=_wrong_password),
    Sight("error 404", "/polls/999999/"),
    Sight("error 403", "/polls/{organisers}/results.csv"),
    Sight("error 405", "/polls/{one}/vote/"),
    Sight("admin, log in", "/admin/login/", kind="admin"),
    Sight("admin", "/admin/", "olga", kind="admin"),
    Sight("admin, list", _ADMIN, "olga", kind="admin"),
    Sight("admin, list, empty", f"{_ADMIN}?q=nothing", "olga", kind="admin"),
    Sight("admin, add", f"{_ADMIN}add/", "olga", kind="admin"),
    Sight("admin, add, error", f"{_ADMIN}add/", "olga", _admin_save, "admin"),
    Sight("admin, change, scheduled", _ADMIN + "{later}/change/", "olga", kind="admin"),
    Sight("admin, change", _ADMIN + "{unvoted}/change/", "olga", kind="admin"),
    Sight("admin, change, voted on", _ADMIN + "{one}/change/", "olga", kind="admin"),
    Sight("admin, change, closed", _ADMIN + "{closed}/change/", "olga", kind="admin"),
    Sight("admin, change, fifty", _ADMIN + "{fifty_ranked}/change/", "olga", kind="admin"),
    Sight("admin, codes", _ADMIN + "{codes}/codes/", "olga", kind="admin"),
    Sight("admin, sheet", _ADMIN + "{codes}/codes/", "olga", _make_sheet, "admin"),
    Sight("admin, void all", _ADMIN + "{codes}/codes/", "olga", _void_all, "admin"),
    Sight("admin, share", _ADMIN + "{codes}/share/", "olga", kind="admin"),
    Sight("admin, share, scheduled", _ADMIN + "{later}/share/", "olga", kind="admin"),
    Sight("preview, ballot", _ADMIN + "{later}/preview/", "olga", kind="admin"),
    Sight("preview, results", _ADMIN + "{later}/preview/results/", "olga", kind="admin"),
    Sight("preview, wall", _ADMIN + "{later}/preview/wall/", "olga", kind="admin"),
    Sight("admin, live", _ADMIN + "{one}/live/", "olga", kind="admin"),
    Sight("admin, import", f"{_ADMIN}import/", "olga", kind="admin"),
    Sight("admin, import, error", f"{_ADMIN}import/", "olga", _import_nonsense, "admin"),
    Sight("admin, members", "/admin/auth/user/members/", "olga", kind="admin"),
    Sight("admin, close", _ADMIN, "olga", _act("close_now"), "admin"),
    Sight("admin, delete", _ADMIN + "{later}/delete/", "olga", kind="admin"),
    Sight("admin, history", _ADMIN + "{one}/history/", "olga", kind="admin"),
    Sight("admin, accounts", "/admin/auth/user/", "olga", kind="admin"),
    Sight("admin, account, add", "/admin/auth/user/add/", "olga", kind="admin"),
    Sight("admin, group, add", "/admin/auth/group/add/", "olga", kind="admin"),
    Sight("admin, password", "/admin/password_change/", "olga", kind="admin"),
]  # fmt: skip


class Gallery:
    """A site with all the polls."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        code = "from tests.support.gallery import make; make()"
        made = json.loads(site.shell(code).splitlines()[-1])
        # As the server sent the page that is looked at.
        self.document: Response | None = None
        self.places: dict[str, object] = made["places"]
        self.cookies: dict[str, dict[str, str]] = made["cookies"]

    def context(self, browser: "Browser", who: str, **options: Any) -> "BrowserContext":
        context = browser.new_context(base_url=self.site.base, **options)
        for name, value in self.cookies.get(who, {}).items():
            context.add_cookies([{"name": name, "value": value, "url": self.site.base}])
        return context

    def go(self, page: "Page", sight: Sight) -> None:
        page.goto(sight.path.format(**self.places))
        if sight.steps:
            sight.steps(page)

    def _note(self, response: "Response") -> None:
        if (
            response.request.is_navigation_request()
            and not 300 <= response.status < 400
        ):
            self.document = response

    def tour(
        self, browser: "Browser", sights: "list[Sight]" = SIGHTS, **options: Any
    ) -> "Iterator[tuple[Sight, Page]]":
        """Yield each page as it is seen, in a browser with these options; each visitor has a browser of their own."""
        pages: dict[str, Page] = {}
        for sight in sights:
            if sight.who not in pages:
                pages[sight.who] = page = self.context(browser, sight.who, **options).new_page()  # fmt: skip
                page.set_default_timeout(10_000)
                page.on("response", self._note)
            self.go(pages[sight.who], sight)
            yield sight, pages[sight.who]
        for page in pages.values():
            page.context.close()

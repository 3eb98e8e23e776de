"""Take the pictures of README and of the pages beside this: .venv/bin/python -m docs.pictures

They are taken of a demo site of its own, which ends with this, by the system's Chromium.
"""

import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from docs.palette import reduced
from tests.support.headless import launch_chromium
from tests.support.servers import Site

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "pictures"
OLGA = ("olga", "a good password")
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1120, "height": 760}
WALL = {"width": 1280, "height": 720}

# Questions, choices, promises, and how often each ballot was cast (choices by their place).
DEMO = """
import datetime, random
from django.utils import timezone
from polls.models import Choice, Question
from polls.voting.cast import cast

def ask(text, choices, ballots, opened, closes, closed=False, voters="anyone", **promises):
    now = timezone.now()
    question = Question.objects.create(
        question_text=text, pub_date=now - datetime.timedelta(hours=opened),
        closes_at=closes and now + datetime.timedelta(days=closes, hours=1), **promises)
    ids = [Choice.objects.create(question=question, choice_text=c).pk for c in choices]
    cast_all = [marks for marks, number in ballots.items() for _ in range(number)]
    random.Random(7).shuffle(cast_all)
    for n, marks in enumerate(cast_all):
        cast(question, f"{question.pk}-{n:020}", [ids[int(mark) - 1] for mark in marks])
    Question.objects.filter(pk=question.pk).update(voters=voters)
    if closed:
        question.close()

Question.objects.all().delete()
ask("Which film shall we watch?", ["Metropolis", "Playtime", "Spirited Away", "Paddington 2"],
    {"1234": 5, "2134": 9, "3421": 14, "4321": 12, "2431": 4, "34": 6, "4": 3}, 52, None, True, kind="ranked")
ask("What shall the association buy first?", ["A projector", "A second coffee machine", "Garden chairs"],
    {"1": 17, "2": 31, "3": 22}, 30, 6, voters="codes", results="closed")
ask("Which evenings suit you?", ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"],
    {"12": 9, "245": 12, "3": 4, "25": 8, "45": 11}, 26, 2, kind="several", max_choices=3)
ask("Who shall speak for us next year?", ["Ada", "Grace", "Katherine", "Radia"],
    {"1234": 12, "2341": 9, "3421": 11, "42": 5}, 9, 4, kind="ranked")
ask("Where shall the summer party be?", ["By the lake", "In the old town hall", "On the roof", "At the farm"],
    {"1": 58, "2": 31, "3": 24, "4": 11}, 3, 3)
"""
PARTY, SPEAKER, EVENINGS, PURCHASE, FILM = (
    "Where shall the summer party be?",
    "Who shall speak for us next year?",
    "Which evenings suit you?",
    "What shall the association buy first?",
    "Which film shall we watch?",
)


class Photographer:
    def __init__(self, site: Site, chromium: Browser) -> None:
        self.site, self.chromium = site, chromium
        self.ids = self._ids()

    def _ids(self) -> dict[str, int]:
        with self.site.database() as run:
            return {
                text: pk
                for pk, text in run("SELECT id, question_text FROM polls_question")
            }

    @contextmanager
    def page(self, size: dict[str, int], scale: float = 1) -> Iterator[Page]:
        context = self.chromium.new_context(
            base_url=self.site.base,
            viewport=size,
            device_scale_factor=scale,
            reduced_motion="reduce",
        )
        yield context.new_page()
        context.close()

    @contextmanager
    def desk(self) -> Iterator[Page]:
        with self.page(DESK) as page:
            page.goto("/admin/login/")
            page.locator("[name=username]").fill(OLGA[0])
            page.locator("[name=password]").fill(OLGA[1])
            page.locator("[type=submit]").click()
            page.wait_for_url("**/admin/")
            yield page

    def voter(self) -> None:
        with self.page(PHONE, 1.5) as page:
            page.goto(f"/polls/{self.ids[SPEAKER]}/")
            for name in ("Grace", "Ada"):
                page.get_by_role("button", name=name).first.click()
            shoot(page, "rank")
            page.goto(f"/polls/{self.ids[PARTY]}/")
            page.get_by_label("By the lake").check()
            shoot(page, "vote")
            page.get_by_role("button", name="Vote").click()
            page.wait_for_url("**/results/")
            shoot(page, "counted")
            page.goto("/r/")
            shoot(page, "receipt")
        with self.page(DESK) as page:
            page.goto("/polls/")
            shoot(page, "index")
            page.goto(f"/polls/{self.ids[FILM]}/results/")
            shoot(page, "results")

    def organiser(self) -> None:
        with self.desk() as page:
            shoot(page, "dashboard")
            page.goto("/admin/polls/question/add/")
            page.locator("[name=question_text]").fill("Which day shall we meet?")
            page.locator("[name=choices]").fill("Monday\nTuesday\nFriday")
            shoot(page, "form")
            page.goto(f"/admin/polls/question/{self.ids[PARTY]}/share/")
            shoot(page, "share")
            page.goto(f"/admin/polls/question/{self.ids[PURCHASE]}/codes/")
            page.locator("[name=number]").fill("6")
            page.locator("[name=make][value=sheet]").click()
            page.locator(".slips").wait_for()
            shoot(page, "codes")
        with self.page(WALL) as page:
            page.goto(f"/polls/{self.ids[PARTY]}/share/")
            shoot(page, "wall")

    def readme(self) -> None:
        """Put a ballot and its results beside one another."""
        shown = []
        with self.page(PHONE | {"height": 860}) as page:
            page.goto(f"/polls/{self.ids[PARTY]}/")
            page.get_by_label("By the lake").check()
            shown.append(page.screenshot())
            page.get_by_role("button", name="Vote").click()
            page.wait_for_url("**/results/")
            page.set_viewport_size({"width": 740, "height": 860})
            page.wait_for_load_state("networkidle")
            shown.append(page.screenshot())
        sources = [base64.b64encode(data).decode() for data in shown]
        images = "".join(
            f'<img src="data:image/png;base64,{source}">' for source in sources
        )
        with self.page({"width": 1160, "height": 900}) as page:
            page.set_content(
                "<style>body{margin:0;display:flex;gap:20px;padding:20px;background:#fff}"
                "img{border-radius:14px;box-shadow:0 0 0 1px #ddd}</style>" + images
            )
            save(page, page.locator("body").screenshot(), HERE / "screenshot.png")


def shoot(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    save(page, page.screenshot(), PICTURES / f"{name}.png")


def save(page: Page, picture: bytes, path: Path) -> None:
    """Save a picture with few colours; a blank page beside this one reads it, which no policy keeps from that."""
    blank = page.context.new_page()
    path.write_bytes(reduced(blank, picture))
    blank.close()
    print(f"{path.stat().st_size:7} {path.name}")


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        # The links in the pictures are those of a site on the net.
        site = Site(
            "gunicorn polls.wsgi",
            Path(folder) / "site",
            {
                "SITE_NAME": "Polls of the association",
                "SITE_URL": "http://polls.example.org",
            },
        ).ready()
        chromium = launch_chromium(playwright)
        try:
            site.add_account(*OLGA, organiser=True)
            site.shell(DEMO)
            photographer = Photographer(site, chromium)
            photographer.voter()
            photographer.organiser()
            photographer.readme()
        finally:
            chromium.close()
            site.stop()


if __name__ == "__main__":
    main()

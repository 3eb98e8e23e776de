"""The pages for voters, organisers, operators and developers: what they name is there."""

import re

import pytest

from polls.poll_file.fields import KEYS
from polls.poll_file.reading import read_polls
from tests.support.servers import ROOT

pytestmark = pytest.mark.once
PAGES = ["voter.md", "organiser.md", "operator.md"]
PAGES += ["metrics.md", "platforms.md", "architecture.md"]


@pytest.mark.parametrize("name", PAGES)
def test_its_links_and_pictures_lead_somewhere(name):
    page = (ROOT / "docs" / name).read_text()
    links = re.findall(r"\]\((?!http)([^)#]+)|src=\"([^\"]+)\"", page)
    assert links
    for link in map("".join, links):
        assert (ROOT / "docs" / link).resolve().exists(), link


def test_the_map_of_the_house_names_every_module():
    page = (ROOT / "docs/architecture.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)/` \| (.+) \|$", page, re.M))
    modules = {
        name: {path.stem for path in (ROOT / "polls" / name).glob("[!_]*.py")}
        for name in rows
    }
    assert "voting" in modules
    assert modules == {name: set(re.findall(r"`(\w+)`", rows[name])) for name in rows}


def test_each_picture_is_shown_somewhere():
    pages = "".join((ROOT / "docs" / name).read_text() for name in PAGES)
    names = [path.name for path in (ROOT / "docs/pictures").iterdir()]
    assert names and [name for name in names if f"pictures/{name}" not in pages] == []


def test_the_table_of_a_file_has_every_key():
    page = (ROOT / "docs/organiser.md").read_text()
    table = page.split("| key |")[1].split("\n\n")[0]
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]+)\|", table, re.M)))
    assert sorted(named) == sorted(KEYS)


@pytest.mark.django_db
def test_the_example_of_a_file_can_be_imported():
    page = (ROOT / "docs/organiser.md").read_text()
    example = re.search(r"(?:^    .*\n|^\n)+(?=\n?\| key)", page, re.M)[0]
    assert len(read_polls(example.encode())) == 2

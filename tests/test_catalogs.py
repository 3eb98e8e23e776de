"""The translations: every text of the site, in every language, whole; and nothing that is said in English alone."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import polib
import pytest
from django.apps import apps
from django.conf import settings
from django.utils.translation import to_locale

ROOT = Path(apps.get_app_config("polls").path)
LOCALES = [to_locale(code) for code, _ in settings.LANGUAGES if code != "en"]

pytestmark = pytest.mark.once


def catalog(locale: str, root: Path = ROOT) -> polib.POFile:
    return polib.pofile(str(root / f"locale/{locale}/LC_MESSAGES/django.po"))


def key(entry: polib.MOEntry) -> tuple[str | None, str, str]:
    return entry.msgctxt, entry.msgid, entry.msgid_plural


def translations(entry: polib.MOEntry) -> list[str]:
    return [*entry.msgstr_plural.values()] if entry.msgid_plural else [entry.msgstr]


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)[sd]|%%|\{\w*\}|</?\w+", text))


@pytest.mark.parametrize("locale", LOCALES)
def test_every_text_is_translated(locale):
    entries = [entry for entry in catalog(locale) if not entry.obsolete]
    assert [e.msgid for e in entries if not all(translations(e))] == []
    assert [e.msgid for e in entries if e.fuzzy] == []


@pytest.mark.parametrize("locale", LOCALES)
def test_translations_have_the_same_placeholders(locale):
    wrong = []
    for entry in catalog(locale).translated_entries():
        # One thing may be said without its number, and two in Arabic.
        allowed = placeholders(entry.msgid) | placeholders(entry.msgid_plural)
        for text in translations(entry):
            if entry.msgid_plural:
                if not allowed >= placeholders(text):
                    wrong.append(text)
            elif placeholders(text) != allowed:
                wrong.append(text)
        if entry.msgid_plural and entry.msgstr_plural:
            last = entry.msgstr_plural[max(entry.msgstr_plural)]
            if placeholders(last) != placeholders(entry.msgid_plural):
                wrong.append(last)
    assert wrong == []


@pytest.mark.parametrize("locale", LOCALES)
def test_plurals_have_the_forms_of_the_language(locale):
    po = catalog(locale)
    forms = int(re.search(r"nplurals=(\d)", po.metadata["Plural-Forms"])[1])
    plurals = [e for e in po.translated_entries() if e.msgid_plural]
    assert {len(entry.msgstr_plural) for entry in plurals} <= {forms}


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_compiled_is_what_is_translated(locale):
    po = catalog(locale)
    mo = polib.mofile(str(ROOT / f"locale/{locale}/LC_MESSAGES/django.mo"))
    compiled = {key(entry): translations(entry) for entry in mo}
    written = {key(entry): translations(entry) for entry in po.translated_entries()}
    assert compiled == written


@pytest.mark.server
def test_the_catalogs_have_the_texts_of_the_site(tmp_path):
    """Run make messages on a copy: nothing is new, and nothing is gone."""
    for name in ("polls", "manage.py"):
        source = ROOT.parent / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copy(source, tmp_path)
    command = [sys.executable, "manage.py", "messages", "--verbosity", "0"]
    subprocess.run(
        command, cwd=tmp_path, check=True, env=os.environ | {"DATA_DIR": str(tmp_path)}
    )
    for locale in LOCALES:
        known = {key(entry) for entry in catalog(locale)}
        found = {key(entry) for entry in catalog(locale, tmp_path / "polls")}
        assert found ^ known == set(), "run make messages"


# What is said in no language: names of formats, and what only programs read.
SAID_AS_IT_IS = {
    "JSON",
    "summary_large_image",
    "website",
    "width=device-width, initial-scale=1",
    "light dark",
}
TAGS = re.compile(
    r"{%\s*(?:blocktranslate|comment|block body(?:class)?)\b.*?{%\s*end\w+\s*%}"
    r"|{#.*?#}|{{.*?}}|{%.*?%}",
    re.DOTALL,
)
READ_OUT = {"alt", "title", "aria-label", "placeholder", "content"}


class Words(HTMLParser):
    """Collects what people read in a template, outside of its tags."""

    def __init__(self, template: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside = ""
        self.feed(TAGS.sub("", template))

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        said = [text for name, text in attrs if name in READ_OUT and text]
        if tag == "input" and {("type", "submit"), ("type", "button")} & set(attrs):
            said += [text for name, text in attrs if name == "value"]
        self.found += said

    def handle_data(self, data):
        # An example of a file is in the words of the file.
        if self.inside not in {"style", "script", "pre", "code"}:
            # Some templates are attributes alone.
            self.found.append(re.sub(r'[\w-]+="[^"]*"', "", data).strip())


def test_no_template_says_anything_in_english_alone():
    said = {}
    for suffix in ("html", "svg", "txt"):
        for path in (ROOT / "templates").rglob(f"*.{suffix}"):
            words = Words(path.read_text()).found
            found = [w for w in words if re.search(r"[^\W\d_]{2,}", w)]
            if left := [w for w in found if w not in SAID_AS_IT_IS]:
                said[path.name] = left
    assert said == {}


def test_no_script_says_anything():
    """Their words come from data-* attributes, which templates translate."""
    said = {}
    for path in (ROOT / "static").rglob("*.js"):
        source = re.sub(r"^\s*//.*", "", path.read_text(), flags=re.MULTILINE)
        literals = re.findall(r'"([^"\n]*)"|`([^`]*)`', source)
        texts = [re.sub(r"\$\{[^}]*\}", "", one or two) for one, two in literals]
        found = [t for t in texts if re.search(r"[A-Za-z]{2,}[,.]? [a-z]{2,} ", t)]
        if found:
            said[path.name] = found
    assert said == {}

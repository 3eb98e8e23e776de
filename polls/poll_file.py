"""Polls as a file: what importpolls reads, in YAML, and exportpolls writes. docs/demo.yaml shows all that it can say.

A file is imported as a whole or not at all, and what is wrong in it is said with its line. Every value is taken as it
stands: `Yes`, `12:30` and `2026-12-01` are texts like any other choice, and not what YAML makes of them. What makes one
part of a file another's copy, or an object, is refused.
"""

import datetime
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

import yaml
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .kinds import KINDS, Kind
from .models import MAX_CHOICES, Choice, Question
from .poll_language import languages
from .promises import Results, Voters

# Bytes: some ten thousand polls.
MAX_SIZE = 4 * 1024 * 1024
DEFAULT_KIND = Question._meta.get_field("kind").default
# Of the parts of a file in one another: a list of polls with a list of choices needs three.
MAX_DEPTH = 5
# In one message; a file of the wrong kind would have one a line.
MAX_PROBLEMS = 20
# In a message; a text may be as long as the file.
MAX_SHOWN = 60
# Written in C, where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotImported(Exception):
    """Nothing is imported. `problems` says why, a sentence for each thing, with the line where it stands."""

    def __init__(self, problems: Sequence[str]) -> None:
        shown = list(problems[:MAX_PROBLEMS])
        if len(problems) > MAX_PROBLEMS:
            left = len(problems) - MAX_PROBLEMS
            more = ngettext("And %(number)s more.", "And %(number)s more.", left)
            shown.append(more % {"number": left})
        super().__init__("\n".join(shown))
        self.problems = shown


@dataclass
class Draft:
    """A question that is not saved yet, with its choices, and where the file says what."""

    question: Question
    choices: list[str]
    place: str
    places: dict[str, str] = field(default_factory=dict)

    def problems(self, least_choices: int = 2) -> Iterator[str]:
        """Say what is wrong with it, by the rules of the organisers' form."""
        try:
            self.question.full_clean()
        except ValidationError as refusal:
            for name, sentences in refusal.message_dict.items():
                key = next((k for k, f in FIELDS.items() if f.name == name), "")
                for sentence in sentences:
                    yield self._at(key, f"{key}: {sentence}" if key else sentence)
        for sentence in self._wrong_choices(least_choices):
            yield self._at("choices", sentence)
        for key, sentence in self._wrong_limits():
            yield self._at(key, sentence)

    def _at(self, key: str, sentence: str) -> str:
        return f"{self.places.get(key, self.place)}: {sentence}"

    def _wrong_choices(self, least: int) -> Iterator[str]:
        if len(self.choices) < least:
            yield _("A poll needs at least %(number)s choices.") % {"number": least}
        if len(self.choices) > MAX_CHOICES:
            sentence = _("A poll has room for %(most)d choices.")
            yield sentence % {"most": MAX_CHOICES}
            return
        # White space makes no difference to who reads them.
        alike = Counter(" ".join(text.split()) for text in self.choices)
        for text, number in alike.most_common(1):
            if text and number > 1:
                yield _("Two choices are the same: %(text)s.") % {"text": _shown(text)}
        for text in self.choices:
            try:
                visible = text if text.strip() else ""
                Choice(choice_text=visible).clean_fields(exclude=["question"])
            except ValidationError as refusal:
                yield f"{_shown(text)}: {' '.join(refusal.messages)}"

    def _wrong_limits(self) -> Iterator[tuple[str, str]]:
        rules = KINDS.get(self.question.kind)
        least, most = self.question.min_choices, self.question.max_choices
        if not rules:
            return
        if least > max(len(self.choices), 1):
            sentence = _("at_least is %(least)s, and there are %(number)s choices.")
            yield "at_least", sentence % {"least": least, "number": len(self.choices)}
        for key, limit in (("at_least", least), ("at_most", most)):
            if limit and rules.most_marks and limit > rules.most_marks:
                sentence = _("%(key)s is %(limit)s. Use at most %(most)s.")
                names = {"key": key, "limit": limit, "most": rules.most_marks}
                yield key, sentence % names


def save(drafts: Sequence[Draft]) -> list[Question]:
    """Save all of them, in their order."""
    questions = [draft.question for draft in drafts]
    with transaction.atomic():
        Question.objects.bulk_create(questions)
        Choice.objects.bulk_create(
            Choice(question=draft.question, choice_text=text)
            for draft in drafts
            for text in draft.choices
        )
    return questions


# Reading.


class _Wrong(Exception):
    """This value cannot be. Its text says what can."""


def _one_of(words: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            listed = get_text_list([*words], _("or"))
            raise _Wrong(_("Use %(words)s.") % {"words": listed})
        return text

    return read


def _yes_or_no(text: str) -> bool:
    if text.lower() not in {"yes", "no", "true", "false"}:
        raise _Wrong(_("Use yes or no."))
    return text.lower() in {"yes", "true"}


def _language(text: str) -> str:
    if text not in dict(languages()):
        raise _Wrong(_("Use the code of a language, such as en, pt or zh-hans."))
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 5):
        raise _Wrong(_("Use a whole number."))
    return int(text)


def _moment(text: str) -> datetime.datetime:
    """Read a date with a time; without an offset it is in the site's own zone."""
    try:
        moment = datetime.datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else timezone.make_aware(moment)
        # The first and the last day that there is are not to be had in each zone.
        timezone.localtime(aware.astimezone(datetime.UTC))
    except (ValueError, OverflowError):
        moment = None
    if not moment or len(text) <= len("2026-12-01"):
        raise _Wrong(_("Use a date and a time, such as 2026-12-01 18:00."))
    return aware


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Wrong(_("It has half a character in it.")) from None
    if "\0" in text:
        raise _Wrong(_("It has a character of value 0 in it."))
    return text


class Field(NamedTuple):
    """A field of the model, and how it is read."""

    name: str
    read: Callable[[str], object]


FIELDS = {
    "question": Field("question_text", _text),
    "opens": Field("pub_date", _moment),
    "closes": Field("closes_at", _moment),
    "kind": Field("kind", _one_of(Kind.values)),
    "at_least": Field("min_choices", _number),
    "at_most": Field("max_choices", _number),
    "voters": Field("voters", _one_of(Voters.values)),
    "results": Field("results", _one_of(Results.values)),
    "may_change": Field("may_change", _yes_or_no),
    "receipts": Field("receipts", _yes_or_no),
    "may_embed": Field("may_embed", _yes_or_no),
    "language": Field("language", _language),
}
LIMITS = ("at_least", "at_most")
KEYS = [*FIELDS, "choices"]


def read(data: bytes) -> list[Draft]:
    """Read and check a file. Raises NotImported."""
    if len(data) > MAX_SIZE:
        sentence = _("The file is larger than %(number)s MB.")
        raise NotImported([sentence % {"number": MAX_SIZE // 1024**2}])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotImported([_("The file is not text in UTF-8.")]) from None
    return _Reader().read(_compose(text))


def _compose(text: str) -> yaml.Node | None:
    try:
        _refuse_tricks(text)
        return yaml.compose(text, LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, why = mark.line + 1 if mark else 1, error.problem
    except yaml.reader.ReaderError as error:
        line, why = text.count("\n", 0, error.position) + 1, error.reason
    sentence = _(
        "This is no YAML (%(why)s). Look at this line and the one before: a text with a colon, or one that begins with "
        "a sign, stands in quotes."
    )
    _refuse(line, sentence % {"why": why})


def _refuse_tricks(text: str) -> None:
    """Refuse what would make a small file a large one, a deep one, or more than texts."""
    depth = 0
    for event in yaml.parse(text, LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            _refuse(line, _("A text that begins with & or * stands in quotes."))
        if getattr(event, "tag", None):
            _refuse(line, _("A text that begins with ! stands in quotes."))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            _refuse(line, _("There are too many lists in one another here."))


def _refuse(line: int, sentence: str) -> NoReturn:
    raise NotImported([f"{_place(line)}: {sentence}"])


def _place(line: int) -> str:
    return _("line %(number)s") % {"number": line}


def _place_of(node: yaml.Node) -> str:
    return _place(node.start_mark.line + 1)


def _shown(text: str) -> str:
    return repr(text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…")


class _Reader:
    def __init__(self) -> None:
        self._problems: list[str] = []

    def read(self, root: yaml.Node | None) -> list[Draft]:
        if not isinstance(root, yaml.SequenceNode) or not root.value:
            _refuse(1, _("This is no list of polls. A poll begins with “- question:”."))
        drafts = [draft for node in root.value if (draft := self._draft(node))]
        if self._problems:
            raise NotImported(self._problems)
        return drafts

    def _say(self, node: yaml.Node, sentence: str, **names: object) -> None:
        self._problems.append(f"{_place_of(node)}: {sentence % names}")

    def _draft(self, node: yaml.Node) -> Draft | None:
        """Return the poll, or None if something is wrong with it, which is said."""
        before = len(self._problems)
        nodes = self._nodes(node)
        values = self._values(nodes)
        choices = self._choices(nodes.get("choices"))
        if len(self._problems) == before and "question" not in values:
            self._say(node, _("This poll has no question."))
        if len(self._problems) > before:
            return None
        self._refuse_limits(nodes, values)
        names = {FIELDS[key].name: value for key, value in values.items()}
        places = {key: _place_of(value) for key, value in nodes.items()}
        draft = Draft(Question(**names), choices, _place_of(node), places)
        self._problems += draft.problems()
        return draft

    def _refuse_limits(
        self, nodes: Mapping[str, yaml.Node], values: Mapping[str, object]
    ) -> None:
        kind = str(values.get("kind", DEFAULT_KIND))
        for key in LIMITS:
            if key in values and not KINDS[kind].has_limits:
                sentence = _("A poll of the kind %(kind)s has no %(key)s.")
                self._say(nodes[key], sentence, kind=kind, key=key)

    def _nodes(self, node: yaml.Node) -> dict[str, yaml.Node]:
        """Return what a poll says, by key."""
        nodes: dict[str, yaml.Node] = {}
        if not isinstance(node, yaml.MappingNode):
            self._say(node, _("A poll begins with “- question:”."))
            return nodes
        for key_node, value in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            if key not in KEYS:
                sentence = _("%(key)s is unknown. Use %(keys)s.")
                keys = get_text_list(KEYS, _("or"))
                self._say(key_node, sentence, key=_shown(key), keys=keys)
            elif key in nodes:
                sentence = _("%(key)s is there twice in this poll.")
                self._say(key_node, sentence, key=key)
            else:
                nodes[key] = value
        return nodes

    def _values(self, nodes: Mapping[str, yaml.Node]) -> dict[str, object]:
        texts = {
            key: self._scalar(node, key) for key, node in nodes.items() if key in FIELDS
        }
        values: dict[str, object] = {}
        for key, text in texts.items():
            try:
                # A key without a value is as good as none.
                values |= {key: FIELDS[key].read(text)} if text.strip() else {}
            except _Wrong as wrong:
                sentence = _("%(key)s is %(text)s.")
                self._say(nodes[key], f"{sentence} {wrong}", key=key, text=_shown(text))
        return values

    def _choices(self, node: yaml.Node | None) -> list[str]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            sentence = _("Choices are a list: a line each, which begins with “-”.")
            self._say(node, sentence)
            return []
        return [self._choice(item) for item in node.value]

    def _choice(self, node: yaml.Node) -> str:
        text = self._scalar(node, "choices")
        try:
            return _text(text)
        except _Wrong as wrong:
            self._say(node, f"%(text)s: {wrong}", text=_shown(text))
            return ""

    def _scalar(self, node: yaml.Node, key: str) -> str:
        """Return the text as it stands there."""
        if not isinstance(node, yaml.ScalarNode):
            sentence = _(
                "Here stands one text of %(key)s. One with a colon stands in quotes."
            )
            self._say(node, sentence, key=key)
            return ""
        text = str(node.value)
        # The end of a text of several lines is the end of a line.
        return text.strip() if node.style in {"|", ">"} else text


# Writing.


class _Writer(yaml.SafeDumper):
    """Lists stand further in than the key that they belong to, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def write(questions: QuerySet[Question]) -> Iterator[str]:
    """Write these questions, each as a part of the file."""
    yield "# Polls, as manage.py importpolls reads them. Times are in the zone of the site.\n"
    ordered = questions.order_by("pk").prefetch_related("choice_set")
    for question in ordered.iterator(chunk_size=500):
        choices = sorted(question.choice_set.all(), key=lambda choice: choice.pk)
        poll = dict(_said(question)) | {"choices": [c.choice_text for c in choices]}
        text = yaml.dump(
            [poll], Dumper=_Writer, allow_unicode=True, sort_keys=False, width=10_000
        )
        yield f"\n{text}"


def _said(question: Question) -> Iterator[tuple[str, object]]:
    for key, field_ in FIELDS.items():
        value = getattr(question, field_.name)
        if value in (None, "") or key in LIMITS and not question.rules.has_limits:
            continue
        is_time = isinstance(value, datetime.datetime)
        yield key, timezone.localtime(value) if is_time else value

"""Polls from a file in YAML; docs/demo.yaml shows all that it can say.

A file is read as a whole or not at all, and what is wrong in it is said with its line. What makes one part of a file
another's copy, or an object, is refused.
"""

from collections.abc import Mapping
from typing import NoReturn

import yaml
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from ..kinds import KINDS
from ..models import Question
from .draft import Draft, NotImported, quoted
from .fields import FIELDS, KEYS, LIMITS, Wrong, read_text

# Bytes: some ten thousand polls.
MAX_SIZE = 4 * 1024 * 1024
DEFAULT_KIND = Question._meta.get_field("kind").default
# Of the parts of a file in one another: a list of polls with a list of choices needs three.
MAX_DEPTH = 5
# Written in C, where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_polls(data: bytes) -> list[Draft]:
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
                self._say(key_node, sentence, key=quoted(key), keys=keys)
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
            except Wrong as wrong:
                sentence = _("%(key)s is %(text)s.")
                self._say(nodes[key], f"{sentence} {wrong}", key=key, text=quoted(text))
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
            return read_text(text)
        except Wrong as wrong:
            self._say(node, f"%(text)s: {wrong}", text=quoted(text))
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

"""A poll that is not saved yet: what is wrong with it, and how many of them are saved at once."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..kinds import KINDS
from ..models import MAX_CHOICES, Choice, Question
from .fields import FIELDS

# In one message; a file of the wrong kind would have one a line.
MAX_PROBLEMS = 20
# In a message; a text may be as long as the file.
MAX_SHOWN = 60


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


def quoted(text: str) -> str:
    return repr(text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…")


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
                yield _("Two choices are the same: %(text)s.") % {"text": quoted(text)}
        for text in self.choices:
            try:
                visible = text if text.strip() else ""
                Choice(choice_text=visible).clean_fields(exclude=["question"])
            except ValidationError as refusal:
                yield f"{quoted(text)}: {' '.join(refusal.messages)}"

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


def save_polls(drafts: Sequence[Draft]) -> list[Question]:
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

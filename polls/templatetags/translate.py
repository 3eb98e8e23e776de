"""Django's own tags of `{% load i18n %}`, quicker: settings.py puts them in their place.

A page has dozens of them, and Django looks each text up anew for each visitor: a fifth of a page. Here a text is looked up
once for each language, and what is put into it for each visitor.
"""

from typing import Any

from django import template
from django.template.base import (
    FilterExpression,
    Node,
    Parser,
    Token,
    Variable,
    render_value_in_context,
)
from django.template.context import Context
from django.templatetags import i18n
from django.templatetags.i18n import BlockTranslateNode, TranslateNode
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

register = template.Library()
register.tags |= i18n.register.tags
register.filters |= i18n.register.filters


def _is_constant(expression: FilterExpression | None) -> bool:
    if expression is None:
        return True
    var = expression.var
    is_text = isinstance(getattr(var, "literal", var), str)
    return is_text and not expression.filters


class ConstantNode(Node):
    """A text without variables."""

    def __init__(self, node: TranslateNode) -> None:
        self.name, node.asvar = node.asvar, None
        self.node = node
        self.translated: dict[str | None, str] = {}

    def render(self, context: Context) -> str:
        language = get_language()
        text = self.translated.get(language)
        if text is None:
            text = self.translated[language] = self.node.render(context)
        if not self.name:
            return text
        context[self.name] = text
        return ""


class SentenceNode(BlockTranslateNode):
    """A text with variables, of one form or with a plural, in no context of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.one, self.names = self.render_token_list(self.singular)
        self.many = ""
        if self.plural:
            self.many, names = self.render_token_list(self.plural)
            self.names = list(dict.fromkeys([*self.names, *names]))
        self.translated: dict[tuple[str | None, int], str] = {}

    def render(self, context: Context, nested: bool = False) -> str:
        own = {name: e.resolve(context) for name, e in self.extra_context.items()}
        sentence = self._sentence(context, own)
        try:
            data = {
                name: _written(own[name] if name in own else context[name], context)
                for name in self.names
            }
            said = SafeString(sentence % data)
        except (KeyError, ValueError):
            # A variable that is not there, or a translation that is broken.
            return super().render(context, nested)
        if not self.asvar:
            return said
        context[self.asvar] = said
        return ""

    def _sentence(self, context: Context, own: dict[str, Any]) -> str:
        number = 1
        if self.plural and self.countervar and self.counter:
            number = own[self.countervar] = self.counter.resolve(context)
        if not _is_small(number):
            return self._translate(number)
        key = get_language(), number
        sentence = self.translated.get(key)
        if sentence is None:
            sentence = self.translated[key] = self._translate(number)
        return sentence

    def _translate(self, number: int) -> str:
        return ngettext(self.one, self.many, number) if self.many else gettext(self.one)


def _is_small(value: object) -> bool:
    return type(value) is int and 0 <= value < 1000


def _written(value: object, context: Context) -> str:
    # Most numbers have no thousands that would have to be set apart.
    if _is_small(value):
        return str(value)
    return render_value_in_context(value, context)


@register.tag("translate")
@register.tag("trans")
def translate(parser: Parser, token: Token) -> Node:
    node = i18n.do_translate(parser, token)
    expression = node.filter_expression
    is_constant = isinstance(expression.var, Variable) and _is_constant(expression)
    if is_constant and not node.noop and _is_constant(node.message_context):
        return ConstantNode(node)
    return node


@register.tag("blocktranslate")
@register.tag("blocktrans")
def blocktranslate(parser: Parser, token: Token) -> Node:
    node = i18n.do_block_translate(parser, token)
    if node.message_context:
        return node
    return SentenceNode(
        node.extra_context,
        node.singular,
        node.plural,
        node.countervar,
        node.counter,
        trimmed=node.trimmed,
        asvar=node.asvar,
    )

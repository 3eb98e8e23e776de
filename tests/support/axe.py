"""What axe-core finds wrong on a page: WCAG 2.2 up to AA, and its best practices."""

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SCRIPT = files("axe_playwright_python").joinpath("axe.min.js").read_text()
RUN = """async options => (await axe.run(options)).violations.flatMap(
    rule => rule.nodes.map(node => [
        rule.id, rule.impact, node.target.join(" "), node.html.slice(0, 160), node.failureSummary.replace(/\\s+/g, " ").slice(0, 300)
    ].join(" | "))
)"""


def findings(page: "Page", *rules: str) -> list[str]:
    """Return what is wrong, a line each; by these rules alone if some are named. The page's security policy stays on."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(SCRIPT)
    only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": TAGS}  # fmt: skip
    return page.evaluate(RUN, {"runOnly": only, "resultTypes": ["violations"]})

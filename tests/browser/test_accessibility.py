"""What a screen reader is given."""

from textwrap import dedent

import pytest
from playwright.sync_api import Browser, expect

from tests.support.gallery import SIGHTS, Gallery

pytestmark = pytest.mark.once

# Roles, names and states, by the sight.
HEARD = {
    "ballot, one": """
        - group "What shall we have for lunch on Friday?":
          - heading "What shall we have for lunch on Friday?" [level=1]
          - radio "Noodles at the corner"
          - radio "Pizza"
        - button "Vote"
        - link "See the results"
    """,
    "ballot, several, error": """
        - alert:
          - heading "Your vote is not counted yet" [level=2]
          - paragraph:
            - link "You didn't select a choice."
        - group "Which evenings would suit you?":
          - checkbox "Monday" [invalid]
    """,
    "ballot, own": """
        - group "Shall the office be closed between the years?":
          - radio "Yes" [checked]
          - radio "No"
        - button "Change your vote"
    """,
    "ballot, ranked, own": """
        - list "Your ranking":
          - listitem:
            - 'button "Metropolis: move up" [disabled]'
            - 'button "Metropolis: move down" [disabled]'
            - 'button "Metropolis: remove"'
        - list "Not ranked":
          - listitem:
            - button "Playtime"
    """,
    "results, voted": """
        - heading "Your vote is counted" [level=2]
        - heading "Shall the office be closed between the years?" [level=1]
        - table "Votes for each choice, in percent of voters":
          - rowgroup:
            - row "Choice Percent Bar Votes"
          - rowgroup:
            - row "Yes Your vote 66.7% 4 votes"
            - row "No 16.7% 1 vote"
    """,
    "results, closed, ranked": """
        - table /Last round/:
          - rowgroup:
            - row "Flow 100.0% 24 votes"
        - group:
          - region "Rounds":
            - table "Votes by round":
              - rowgroup:
                - row "Choice Round 1 Round 2 Round 3 Round 4"
              - rowgroup:
                - row "Flow Elected 12 12 16 24"
                - row "Tide 8 12 16 out"
    """,
}


def test_a_screen_reader_hears_what_the_eye_sees(chromium: Browser, gallery: Gallery) -> None:  # fmt: skip
    sights = [sight for sight in SIGHTS if sight.name in HEARD]
    for sight, page in gallery.tour(chromium, sights):
        expect(page.locator("main")).to_match_aria_snapshot(dedent(HEARD[sight.name]))

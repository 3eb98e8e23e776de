"""What the Nu Html Checker, the W3C's own, finds wrong in pages."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

JAR = Path(sys.prefix) / "vnu/node_modules/vnu-jar/build/dist/vnu.jar"

# The models at the side of Django's admin: rows of two cells under a head of three.
DJANGOS = "A table row was 2 columns wide, which is less than the column count established by the first row"


def complaints(pages: Mapping[str, str], folder: Path) -> list[str]:
    """Return its errors and warnings on these pages, by name; all pages go through one start of Java."""
    names = {}
    for number, (name, html) in enumerate(pages.items()):
        path = folder / f"{number}.html"
        path.write_text(html)
        names[path.name] = name
    if not JAR.exists():
        pytest.fail("The Nu checker is missing. Install it: make .venv/vnu")
    words = ["java", "-Xss2m", "-jar", JAR, "--format", "json", "--exit-zero-always", folder]  # fmt: skip
    answer = subprocess.run(words, check=True, capture_output=True, text=True)
    messages = json.loads(answer.stderr)["messages"]
    page = lambda message: names[Path(message["url"]).name]
    return [
        f"{page(message)}: {message['message']} ({' '.join(message.get('extract', '').split())})"
        for message in messages
        if not message["message"].startswith(DJANGOS)
    ]

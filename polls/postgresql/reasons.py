"""Why PostgreSQL cannot be reached: what its library says of each host, and what is to be done.

A connection that was not made has no error code, only a text.
"""

import re

from ..database import Reason

# What stands in the text, what to do, and whether it may pass by itself.
_ADVICE = [
    (
        "password|role .+ does not exist|pg_hba|authentication",
        "Correct the user or the password in DATABASE_URL.",
        False,
    ),
    (
        "database .+ does not exist",
        "Create that database, or name another one in DATABASE_URL.",
        False,
    ),
    (
        "SSL|certificate|sslmode|private key",
        "Correct sslmode and the files of sslrootcert, sslcert and sslkey in DATABASE_URL.",
        False,
    ),
    (
        "read-only|hot standby",
        "That is a standby: promote it, or name in DATABASE_URL the host that takes votes.",
        True,
    ),
    (
        "too many|connection slots|no more connections",
        "Raise max_connections, or have fewer workers and threads.",
        True,
    ),
    (
        "permission denied",
        "Give the user in DATABASE_URL all rights on the tables.",
        False,
    ),
    ("", "Start it, or correct DATABASE_URL.", True),
]
# As in: connection to server at "10.0.0.1", port 5432 failed: FATAL:  the database system is starting up
_FAILED = re.compile(
    r'(?:at|socket) "(.+?)"(?:, port (\d+))? failed: (?:FATAL:\s+)?(.+)'
)


def explain(error: Exception) -> Reason:
    text = str(error)
    failures = {
        f"{host}{port and ':'}{port}: {why}"
        for host, port, why in _FAILED.findall(text)
    }
    said = "; ".join(sorted(failures)) or text.partition("\n")[0]
    advice, may_pass = next(
        (advice, may_pass)
        for pattern, advice, may_pass in _ADVICE
        if re.search(pattern, said)
    )
    return Reason(said, advice, may_pass)

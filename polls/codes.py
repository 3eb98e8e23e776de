"""Codes that people read and type: receipts and invitations."""

import secrets

# Crockford's base 32: without I, L and O, which people take for 1 and 0, and without U.
CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Dashes are for the eye, and PostgreSQL takes no NUL.
_MISTYPED = str.maketrans("OIL", "011", "-\0")


def new_code() -> str:
    """Return 12 characters, 60 bits: nobody hits on another voter's by trying."""
    return code_of(secrets.randbits(60))


def code_of(bits: int) -> str:
    """Return the code that the last 60 of these bits are."""
    return "".join(CODE_ALPHABET[bits >> n & 31] for n in range(0, 60, 5))


def read_code(text: str) -> str:
    """Return the code that somebody meant: lower case, O for 0, I or L for 1, white space and dashes are forgiven."""
    return "".join(text.upper().translate(_MISTYPED).split())


def spell(code: str) -> str:
    """Return the code as people read it: in groups of four."""
    return "-".join(code[n : n + 4] for n in range(0, len(code), 4))

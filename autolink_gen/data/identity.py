"""Names of data that are safe to record: addresses without secrets."""

import hashlib
import re
from urllib.parse import parse_qsl

# What clouds add to an address to let somebody in for a while, and what else is no part of a file's name.
_SIGNED = re.compile(
    r"(x-(amz|goog|oss|cos|ms|tos|obs)-.*|q-(sign-algorithm|ak|sign-time|key-time|header-list|url-param-list|signature)"
    r"|signature|sig|expires|expiry|expire|policy|key-pair-id|(aws|oss)?accesskeyid|googleaccessid|security-token"
    r"|(access_?|auth_?|id_?)?token|auth|authorization|api_?key|hdnea|hdnts|hmac)",
    re.IGNORECASE,
)
# Azure's are too short to be told from others' but beside a signature.
_SIGNED_WITH_SIG = re.compile("sv|ss|srt|sr|sp|se|st|spr|sip|si|skoid|sktid|skt|ske|sks|skv|sdd|saoid|suoid|scid")
_HIDDEN = "hidden"
_IS_PUBLIC = re.compile(rf"{_HIDDEN}=[0-9a-f]{{12}}")
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"<>`]+(?<![');,.:])")
_BRACES = re.compile(r"\{[^{}]*\}")


def public_address(address: str) -> str:
    """An address as it may be written down: without user and password, and nothing of its query in clear.

    What signs an address, and is another when it is renewed, is left out; of any other query a digest stays, so that
    two files told apart by it stay two. Braces stay. What is no address, or is public already, is given back as it is.
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    rest = _BRACES.sub(lambda braces: _public_options(braces[0]), rest)
    rest = rest.partition("#")[0]
    place, _, query = rest.partition("?")
    host, slash, path = place.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}{_public_query(query)}"


def public_data(data: str) -> str:
    """The name of data as it may be written down: each address of "A+B" as :func:`public_address` has it."""
    if "://" not in data:
        return data
    return "+".join(public_address(part.strip()) for part in data.split("+"))


def public_text(text: str) -> str:
    """A message with every address in it as :func:`public_address` has it, whoever wrote it there."""
    return _IN_TEXT.sub(lambda match: public_data(match[0]), text) if "://" in text else text


def _public_options(braces: str) -> str:
    """Braces whose options are addresses' ends, each with a query of its own."""
    if "?" not in braces:
        return braces
    ends = (end.partition("#")[0].partition("?") for end in braces[1:-1].split(","))
    return "{" + ",".join(place + _public_query(query) for place, _, query in ends) + "}"


def _public_query(query: str) -> str:
    """The public rest of a query, with its mark; empty where all of it is a signature."""
    if _IS_PUBLIC.fullmatch(query):
        return f"?{query}"
    pairs = parse_qsl(query, keep_blank_values=True)
    is_azure = any(name.lower() == "sig" for name, _ in pairs)
    unsigned = sorted(pair for pair in pairs if not _signs(pair[0], is_azure=is_azure))
    if not unsigned:
        return ""
    return f"?{_HIDDEN}={hashlib.sha256(repr(unsigned).encode(errors='surrogateescape')).hexdigest()[:12]}"


def _signs(name: str, *, is_azure: bool) -> bool:
    return bool(_SIGNED.fullmatch(name) or (is_azure and _SIGNED_WITH_SIG.fullmatch(name.lower())))

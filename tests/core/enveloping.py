"""Envelopes around anything, honestly signed, and the refusal that must answer them."""

import base64
import json

import pytest
from making import KEY, PRIVATE, make_statement

from medanchor.core.encoding import canonical_json
from medanchor.core.hashes import sha256
from medanchor.core.statement import PAYLOAD_TYPE, Follows, parse_envelope, sign_statement, verify_envelope
from medanchor.errors import MalformedProofError, Step, VerificationError

ROOT = sha256(b"root")
PLAIN = make_statement(ROOT, 412)
FOLLOWING = make_statement(
    ROOT, 1, follows=(Follows(5, "amendment", "correction"), Follows(0, "addendum", "wrong-record"))
)
ENVELOPE = sign_statement(PLAIN, KEY, PRIVATE.sign)


def tree_of(statement=PLAIN):
    return json.loads(parse_envelope(sign_statement(statement, KEY, PRIVATE.sign)).message.split(b" ", 4)[4])


def enveloped(body, **members):
    """An envelope around any payload, honestly signed, with `members` put in or, where None, left out."""
    outer = {
        "payload": base64.b64encode(body).decode(),
        "payloadType": PAYLOAD_TYPE,
        "records": ROOT.hex(),
        "signatures": [{"keyid": sha256(KEY).hex(), "sig": base64.b64encode(PRIVATE.sign(pae(body))).decode()}],
        **members,
    }
    return canonical_json({name: value for name, value in outer.items() if value is not None})


def pae(body):
    """PAE of the DSSE protocol, written from its definition."""
    parts = (PAYLOAD_TYPE.encode(), body)
    return b" ".join([b"DSSEv1", *(str(len(part)).encode() + b" " + part for part in parts)])


def refused(data, message=""):
    with pytest.raises(VerificationError) as caught:
        verify_envelope(data, KEY)
    assert message in caught.value.message
    return caught.value


def malformed(data, message=""):
    """Refused for its form, which is step 0 whether or not somebody goes on to verify it."""
    error = refused(data, message)
    assert (type(error), error.step) == (MalformedProofError, Step.FORMAT)
    with pytest.raises(MalformedProofError):
        parse_envelope(data)

"""Statements: the bytes of DSSE and in-toto, one spelling of everything, one signature."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from enveloping import ENVELOPE, FOLLOWING, PLAIN, ROOT, enveloped, pae, refused, tree_of
from hypothesis import given
from hypothesis import strategies as st
from making import (
    KEY,
    NAMES,
    PRIVATE,
    any_statements,
    attempt,
    modest,
    mutations,
    proof_bytes,
)

from medanchor.core import statement as statements
from medanchor.core.encoding import canonical_json
from medanchor.core.hashes import sha256
from medanchor.core.proof import parse_proof
from medanchor.core.statement import (
    parse_envelope,
    pre_authentication_encoding,
    sign_statement,
    verify_envelope,
)
from medanchor.errors import Step, VerificationError


def test_the_pre_authentication_encoding_is_dsses_own_example(monkeypatch):
    monkeypatch.setattr(statements, "PAYLOAD_TYPE", "http://example.com/HelloWorld")
    assert pre_authentication_encoding(b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@given(st.binary(max_size=100))
@modest
def test_the_pre_authentication_encoding_counts_bytes(body):
    assert pre_authentication_encoding(body) == pae(body)


def test_the_envelope_is_the_one_of_the_specification():
    payload = (
        '{"_type":"https://in-toto.io/Statement/v1","predicate":{"ledger":"records.hospital.example/ward-7",'
        '"meaning":"authorship","records":412,"time":"2026-11-21T18:04:05Z"},"predicateType":"urn:medanchor:stamp:v1",'
        f'"subject":[{{"digest":{{"rfc9162Sha256":"{ROOT.hex()}"}},"name":"records"}}]}}'
    ).encode()
    signature = base64.b64encode(PRIVATE.sign(pae(payload))).decode()
    assert ENVELOPE.decode() == (
        f'{{"payload":"{base64.b64encode(payload).decode()}","payloadType":"application/vnd.in-toto+json",'
        f'"records":"{ROOT.hex()}","signatures":[{{"keyid":"{sha256(KEY).hex()}","sig":"{signature}"}}]}}'
    )


@given(any_statements)
@modest
def test_what_is_signed_comes_back(statement):
    data = sign_statement(statement, KEY, PRIVATE.sign)
    assert verify_envelope(data, KEY) == statement
    assert sign_statement(verify_envelope(data, KEY), KEY, PRIVATE.sign) == data


VALID = [ENVELOPE, sign_statement(FOLLOWING, KEY, PRIVATE.sign)]


@given(st.binary(max_size=100) | mutations([*VALID, *(parse_proof(proof_bytes(name)).envelope for name in NAMES)]))
@modest
def test_any_bytes_are_malformed_or_not_of_the_key_or_signed(data):
    """What is read is `records` beside the payload too, which is not signed: step 2 compares it with what is."""
    statement = attempt(lambda: verify_envelope(data, KEY), Step.FORMAT, Step.STATEMENT)
    if statement is not None:
        assert statement in {PLAIN, FOLLOWING}
        assert data in VALID or parse_envelope(data).root != statement.root


@given(mutations([canonical_json(tree_of()), canonical_json(tree_of(FOLLOWING))]))
@modest
def test_any_signed_payload_is_refused_or_is_the_one_spelling_of_a_statement(body):
    statement = attempt(lambda: verify_envelope(enveloped(body), KEY), Step.FORMAT)
    if statement is not None:
        assert sign_statement(statement, KEY, PRIVATE.sign) == enveloped(body, records=statement.root.hex())


def test_another_key_and_a_false_signature_are_told_apart():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    foreign = sign_statement(PLAIN, other.public_key().public_bytes_raw(), other.sign)
    error = refused(foreign, "the statement names another key than the proof's signer")
    assert (type(error), error.step) == (VerificationError, Step.STATEMENT)
    error = refused(
        sign_statement(PLAIN, KEY, other.sign), "the signature under the statement is not of the proof's key"
    )
    assert (type(error), error.step) == (VerificationError, Step.STATEMENT)


def test_the_signature_is_over_the_encoding_and_not_over_the_payload():
    body = canonical_json(tree_of())
    for signed in (body, pae(body)[7:], pae(body) + b"\n", ENVELOPE):
        signature = {"keyid": sha256(KEY).hex(), "sig": base64.b64encode(PRIVATE.sign(signed)).decode()}
        assert refused(enveloped(body, signatures=[signature]), "is not of the proof's key").step is Step.STATEMENT


def test_remembering_an_envelope_does_not_remember_a_verdict_for_another_key():
    with pytest.raises(VerificationError):
        verify_envelope(ENVELOPE, bytes(32))
    assert verify_envelope(ENVELOPE, KEY) == PLAIN

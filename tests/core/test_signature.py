"""Ed25519 against RFC 8032's own vectors, and against the keys and signatures that fit more than they should."""

import pytest
from making import KEY, PRIVATE

from medanchor.core.hashes import sha256
from medanchor.core.signature import key_id, signature_holds

ORDER = 2**252 + 27742317777372353535851937790883648493
FIELD = 2**255 - 19

RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        ("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
        "55141438e7a100b"),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        ("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb"
        "00d291612bb0c00"),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        ("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc"
        "027beceea1ec40a"),
    ),
]  # fmt: skip
"""Section 7.1, tests 1 to 3: public key, message, signature."""

ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
SMALL_ORDER = {
    "zero": bytes(32),
    "one": (1).to_bytes(32, "little"),
    "minus-one": (FIELD - 1).to_bytes(32, "little"),
    "zero-again": FIELD.to_bytes(32, "little"),
    "one-again": (FIELD + 1).to_bytes(32, "little"),
    "order-8": bytes.fromhex(ORDER_8),
    "order-8-negated": (FIELD - int.from_bytes(bytes.fromhex(ORDER_8), "little")).to_bytes(32, "little"),
}
"""The y of every point whose order divides 8, as libsodium and "Taming the many EdDSAs" (2020) list them."""


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_rfc_8032(key, message, signature):
    key, message, signature = (bytes.fromhex(text) for text in (key, message, signature))
    assert signature_holds(key, signature, message)
    assert not signature_holds(key, signature, message + b"\x00")
    assert not signature_holds(KEY, signature, message)


def test_every_bit_of_a_signature_counts():
    signature = PRIVATE.sign(b"message")
    for at in range(512):
        flipped = bytearray(signature)
        flipped[at // 8] ^= 1 << at % 8
        assert not signature_holds(KEY, bytes(flipped), b"message")


def test_a_second_signature_made_from_the_first_is_refused():
    """S + L signs as well as S unless S is bounded (RFC 8032, section 5.1.7): evidence must not be malleable."""
    signature = PRIVATE.sign(b"message")
    for times in range(1, 16):
        second = int.from_bytes(signature[32:], "little") + times * ORDER
        if second < 1 << 256:
            assert not signature_holds(KEY, signature[:32] + second.to_bytes(32, "little"), b"message")


@pytest.mark.parametrize("sign", [0, 0x80], ids=["even", "odd"])
@pytest.mark.parametrize("point", SMALL_ORDER.values(), ids=SMALL_ORDER)
def test_a_key_of_small_order_signs_nothing(point, sign):
    """Without S there is nothing secret: R alone would fit one message in eight, or all of them."""
    key = point[:31] + bytes([point[31] | sign])
    messages = [b"message %d" % number for number in range(24)]
    for commitment in SMALL_ORDER.values():
        assert not any(signature_holds(key, commitment + bytes(32), message) for message in messages)


@pytest.mark.parametrize("key", [b"\xff" * 32, b"\x02" + bytes(31), (FIELD + 2).to_bytes(32, "little")])
def test_what_is_no_point_verifies_nothing(key):
    assert not signature_holds(key, PRIVATE.sign(b"message"), b"message")


def test_a_key_is_called_by_its_sha_256():
    assert key_id(KEY) == sha256(KEY)
    assert key_id(KEY) != key_id(bytes(32))

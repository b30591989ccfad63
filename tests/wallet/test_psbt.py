"""What a PSBT says: read from the BIPs' own vectors, from another hand's, and never from a damaged one."""

import base64
import contextlib

import bdkpython
import psbts
import pytest
from bitcoin.core import COutPoint, CTransaction, CTxIn, CTxOut
from bitcoin.core.script import CScript
from hypothesis import given, settings
from hypothesis import strategies as st

from medanchor.core.commitment import anchor_script
from medanchor.core.hashes import display, sha256d
from medanchor.errors import WalletError
from medanchor.wallet.psbt import (
    MOST_SATOSHI,
    Coin,
    fee,
    is_psbt,
    outputs_of,
    read_psbt,
    spent_by,
    unsigned_transaction,
)
from medanchor.wallet.psbtfields import MOST

TWO_KEY_HASHES = (  # BIP 174, "PSBT with `PSBT_GLOBAL_XPUB`": two P2WPKH inputs, signed
    "cHNidP8BAJ0BAAAAAnEOp2q0XFy2Q45gflnMA3YmmBgFrp4N/ZCJASq7C+U1AQAAAAD/////GQmU1qizyMgsy8+y+6QQaqBmObhyqNRHRlwNQliNbWcA"
    "AAAAAP////8CAOH1BQAAAAAZdqkUtrwsDuVlWoQ9ea/t0MzD991kNAmIrGBa9AUAAAAAFgAUEYjvjkzgRJ6qyPsUHL9aEXbmoIgAAAAATwEEiLIeA55T"
    "DKyAAAAAPbyKXJdp8DGxfnf+oVGGAyIaGP0Y8rmlTGyMGsdcvDUC8jBYSxVdHH8c1FEgplPEjWULQxtnxbLBPyfXFCA3wWkQJ1acUDEAAIAAAACAAAAA"
    "gAABAR8A4fUFAAAAABYAFDO5gvkbKPFgySC0q5XljOUN2jpKIgIDMJaA8zx9446mpHzU7NZvH1pJdHxv+4gI7QkDkkPjrVxHMEQCIC1wTO2DDFapCTRL"
    "10K2hS3M0QPpY7rpLTjnUlTSu0JFAiAthsQ3GV30bAztoITyopHD2i1kBw92v5uQsZXn7yj3cgEiBgMwloDzPH3jjqakfNTs1m8fWkl0fG/7iAjtCQOS"
    "Q+OtXBgnVpxQMQAAgAAAAIAAAACAAAAAAAEAAAAAAQEfAOH1BQAAAAAWABQ4j7lEMH63fvRRl9CwskXgefAR3iICAsd3Fh9z0LfHK57nveZQKT0T8JW8"
    "dlatH1Jdpf0uELEQRzBEAiBMsftfhpyULg4mEAV2ElQ5F5rojcqKncO6CPeVOYj6pgIgUh9JynkcJ9cOJzybFGFphZCTYeJb4nTqIA1+CIJ+UU0BIgYC"
    "x3cWH3PQt8crnue95lApPRPwlbx2Vq0fUl2l/S4QsRAYJ1acUDEAAIAAAACAAAAAgAAAAAAAAAAAAAAiAgLSDKUC7iiWhtIYFb1DqAY3sGmOH7zb5Mrt"
    "RF9sGgqQ7xgnVpxQMQAAgAAAAIAAAACAAAAAAAQAAAAA"
)
TWO_LEGACY = (  # BIP 174, "one P2PKH input and one P2SH-P2WPKH input both with non-final scriptSigs"
    "cHNidP8BAKACAAAAAqsJSaCMWvfEm4IS9Bfi8Vqz9cM9zxU4IagTn4d6W3vkAAAAAAD+////qwlJoIxa98SbghL0F+LxWrP1wz3PFTghqBOfh3pbe+QB"
    "AAAAAP7///8CYDvqCwAAAAAZdqkUdopAu9dAy+gdmI5x3ipNXHE5ax2IrI4kAAAAAAAAGXapFG9GILVT+glechue4O/p+gOcykWXiKwAAAAAAAEA3wIA"
    "AAABJoFxNx7f8oXpN63upLN7eAAMBWbLs61kZBcTykIXG/YAAAAAakcwRAIgcLIkUSPmv0dNYMW1DAQ9TGkaXSQ18Jo0p2YqncJReQoCIAEynKnazygL"
    "3zB0DsA5BCJCLIHLRYOUV663b8Eu3ZWzASECZX0RjTNXuOD0ws1G23s59tnDjZpwq8ubLeXcjb/kzjH+////AtPf9QUAAAAAGXapFNDFmQPFusKGh2Dp"
    "D9UhpGZap2UgiKwA4fUFAAAAABepFDVF5uM7gyxHBQ8k0+65PJwDlIvHh7MuEwAAAQEgAOH1BQAAAAAXqRQ1RebjO4MsRwUPJNPuuTycA5SLx4cBBBYA"
    "FIXRNTfy4mVAWjTbr6nj3aAfuCMIACICAurVlmh8qAYEPtw94RbN8p1eklfBls0FXPaYyNAr8k6ZELSmumcAAACAAAAAgAIAAIAAIgIDlPYr6d8ZlSxV"
    "h3aK63aYBhrSxKJciU9H2MFitNchPQUQtKa6ZwAAAIABAACAAgAAgAA="
)
SIGNED_ALREADY = (  # BIP 174, invalid: "one input has a filled scriptSig in the unsigned tx"
    "cHNidP8BAP0KAQIAAAACqwlJoIxa98SbghL0F+LxWrP1wz3PFTghqBOfh3pbe+QAAAAAakcwRAIgR1lmF5fAGwNrJZKJSGhiGDR9iYZLcZ4ff89X0eUR"
    "ZYcCIFMJ6r9Wqk2Ikf/REf3xM286KdqGbX+EhtdVRs7tr5MZASEDXNxh/HupccC1AaZGoqg7ECy0OIEhfKaC3Ibi1z+ogpL+////qwlJoIxa98SbghL0"
    "F+LxWrP1wz3PFTghqBOfh3pbe+QBAAAAAP7///8CYDvqCwAAAAAZdqkUdopAu9dAy+gdmI5x3ipNXHE5ax2IrI4kAAAAAAAAGXapFG9GILVT+glechue"
    "4O/p+gOcykWXiKwAAAAAAAABASAA4fUFAAAAABepFDVF5uM7gyxHBQ8k0+65PJwDlIvHhwEEFgAUhdE1N/LiZUBaNNuvqePdoB+4IwgAAAA="
)
NETWORK_TRANSACTION = (  # BIP 174, invalid: "Network transaction, not PSBT format"
    "AgAAAAEmgXE3Ht/yhek3re6ks3t4AAwFZsuzrWRkFxPKQhcb9gAAAABqRzBEAiBwsiRRI+a/R01gxbUMBD1MaRpdJDXwmjSnZiqdwlF5CgIgATKcqdrP"
    "KAvfMHQOwDkEIkIsgctFg5RXrrdvwS7dlbMBIQJlfRGNM1e44PTCzUbbezn22cONmnCry5st5dyNv+TOMf7///8C09/1BQAAAAAZdqkU0MWZA8W6woaH"
    "YOkP1SGkZlqnZSCIrADh9QUAAAAAF6kUNUXm4zuDLEcFDyTT7rk8nAOUi8eHsy4TAA=="
)
VERSION_2 = bytes.fromhex(  # BIP 370, valid: "1 input, 2 output updated PSBTv2, with PSBT_IN_SEQUENCE"
    "70736274ff01020402000000010401010105010201fb040200000000"
    "0100520200000001c1aa256e214b96a1822f93de42bff3b5f3ff8d0519306e3515d7515a5e805b120000000000ffffffff0118c69a3b00000000"
    "160014b0a3af144208412693ca7d166852b52db0aef06e00000000"
    "01011f18c69a3b00000000160014b0a3af144208412693ca7d166852b52db0aef06e"
    "010e200b0ad921419c1c8719735d72dc739f9ea9e0638d1fe4c1eef0f9944084815fc8010f0400000000011004feffffff00"
    "220202d601f84846a6755f776be00e3d9de8fb10acc935fb83c45fb0162d4cad5ab79218f69d873e540000800100008000000080000000002a000000"
    "0103080008af2f000000000104160014c430f64c4756da310dbd1a085572ef299926272c00"
    "220202e36fbff53dd534070cf8fd396614680f357a9b85db7340bf1cfa745d2ad7b34018f69d873e540000800100008000000080010000006400"
    "00000103088bbdeb0b0000000001041600144dd193ac964a56ac1b9e1cca8454fe2f474f851300"
)
FIELDS_2 = {  # BIP 370, invalid: the same without a field that is required
    "transaction version": "01020402000000",
    "input count": "01040101",
    "output count": "01050102",
    "version": "01fb0402000000",
    "previous txid": "010e200b0ad921419c1c8719735d72dc739f9ea9e0638d1fe4c1eef0f9944084815fc8",
    "output index": "010f0400000000",
    "amount": "0103080008af2f00000000",
    "script": "0104160014c430f64c4756da310dbd1a085572ef299926272c",
}


def key(number: int) -> psbts.Key:
    return psbts.Key(f"psbt {number}")


def transaction(coins: list[tuple[int, bytes]], paid: list[tuple[int, bytes]]) -> CTransaction:
    """One that spends each of `coins` (value, script) from output 0 of `made_by` it."""
    spends = [CTxIn(COutPoint(sha256d(made_by(coin)), 0), nSequence=0xFFFFFFFD) for coin in coins]
    outputs = [CTxOut(value, CScript(script)) for value, script in paid]
    return CTransaction(spends, outputs, nLockTime=900_000, nVersion=2)


def made_by(coin: tuple[int, bytes]) -> bytes:
    raw: bytes = CTransaction([CTxIn(COutPoint(b"\7" * 32, 1))], [CTxOut(coin[0], CScript(coin[1]))]).serialize()
    return raw


def sample() -> psbts.Raw:
    coin = (100_000, key(0).script)
    made = transaction([coin], [(0, anchor_script(b"MDA1" + bytes(32))), (99_843, key(1).script)])
    return psbts.version_0(made, [coin], [made_by(coin)])


def refusal(data: bytes) -> str:
    with pytest.raises(WalletError) as caught:
        read_psbt(data)
    assert caught.value.hint
    return caught.value.message


def test_what_bip_174_says_is_read():
    psbt = read_psbt(TWO_KEY_HASHES.encode())
    assert [coin.value for coin in psbt.coins] == [100_000_000, 100_000_000]
    assert all(coin.witness for coin in psbt.coins)
    assert psbt.fee == 2 * 100_000_000 - 100_000_000 - 0x05F45A60
    assert psbt.data == base64.b64decode(TWO_KEY_HASHES)


def test_a_coin_is_taken_from_the_transaction_that_made_it():
    psbt = read_psbt(base64.b64decode(TWO_LEGACY))
    assert [coin.value for coin in psbt.coins] == [0x05F5DFD3, 100_000_000]
    assert not any(coin.witness for coin in psbt.coins)


def test_what_bip_370_says_is_read_and_handed_on_in_version_0():
    psbt = read_psbt(VERSION_2)
    made = CTransaction.deserialize(psbt.transaction)
    assert (made.nVersion, made.nLockTime, made.vin[0].nSequence) == (2, 0, 0xFFFFFFFE)
    assert [output.nValue for output in made.vout] == [800_000_000, 199_998_859]
    assert psbt.coins == (Coin(999_999_000, bytes.fromhex("0014b0a3af144208412693ca7d166852b52db0aef06e")),)
    genuine = bdkpython.Psbt(base64.b64encode(psbt.data).decode())
    assert genuine.fee() == psbt.fee == 141
    assert read_psbt(psbt.data) == psbt


@pytest.mark.parametrize("name", FIELDS_2)
def test_version_2_without_a_field_it_requires_is_refused(name):
    field = bytes.fromhex(FIELDS_2[name])
    assert VERSION_2.count(field) == 1
    assert refusal(VERSION_2.replace(field, b""))


@pytest.mark.parametrize(
    ("vector", "found"),
    [
        (SIGNED_ALREADY.encode(), "signed already"),
        (NETWORK_TRANSACTION.encode(), "something else"),
        (b"cHNidP8AAA==", "no field 0x00"),
        (bytes.fromhex("70736274ff01000a0000000000000000000000"), "canonical"),
        (b"", "something else"),
        (b"psbt\xfe", "something else"),
        ("cHNidP8BÄ==".encode(), "something else"),
        (psbts.MAGIC + bytes(MOST), "at most"),
        (psbts.MAGIC + b"\xfd\x10\x00", "shortest form"),
        (psbts.MAGIC + b"\xff" * 9, "ends too early"),
    ],
)
def test_what_is_no_psbt_of_ours_is_refused(vector, found):
    assert found in refusal(vector)


def changed(psbt: psbts.Raw, **maps: psbts.Map) -> bytes:
    """`psbt` with fields more; one that is None is left out."""
    for name, fields in maps.items():
        target = psbt.whole if name == "whole" else getattr(psbt, name)[0]
        target |= fields
        for gone in [at for at, value in fields.items() if value is None]:
            del target[gone]
    return psbt.written()


@pytest.mark.parametrize(
    ("maps", "found"),
    [
        ({"whole": {b"\xfb": (1).to_bytes(4, "little")}}, "version 0 or 2, found 1"),
        ({"whole": {b"\xfb": b"\0"}}, "expected 4 bytes"),
        ({"whole": {b"\x02": bytes(4)}}, "field of another"),
        ({"inputs": {b"\x0e": bytes(32)}}, "field of another"),
        ({"outputs": {b"\x03": bytes(8)}}, "field of another"),
        ({"inputs": {b"\x01\x00": b""}}, "longer than its type"),
        ({"whole": {b"\x00\x01": b""}}, "longer than its type"),
        ({"inputs": {b"\x00": None, b"\x01": None}}, "does not say what an input spends"),
        ({"inputs": {b"\x01": psbts.output(100_001, key(0).script)}}, "two things"),
        ({"inputs": {b"\x01": psbts.output(100_000, key(1).script)}}, "two things"),
        ({"inputs": {b"\x00": made_by((1, key(1).script))}}, "does not spend"),
        ({"inputs": {b"\x00": b"\x02"}}, "cannot be read"),
        ({"inputs": {b"\x01": b"\x02"}}, "no output"),
        ({"inputs": {b"\x01": psbts.output(1, b"") + b"\0"}}, "no output"),
        ({"inputs": {b"\x00": None, b"\x01": psbts.output(MOST_SATOSHI + 1, key(0).script)}}, "more than all"),
        ({"inputs": {b"\x00": None, b"\x01": b"\xff" * 8 + b"\0"}}, "more than all"),
    ],
)
def test_a_field_that_lies_is_refused(maps, found):
    assert found in refusal(changed(sample(), **maps))


@pytest.mark.parametrize(
    ("maps", "found"),
    [
        ({"whole": {b"\x00": b""}}, "field of another"),
        ({"inputs": {b"\x11": bytes(4)}}, "lock time"),
        ({"inputs": {b"\x12": bytes(4)}}, "lock time"),
        ({"inputs": {b"\x0e": bytes(31)}}, "expected 32 bytes"),
        ({"whole": {b"\x04": b"\0"}}, "no input"),
        ({"whole": {b"\x05": b"\1\0"}}, "follows its end"),
    ],
)
def test_a_field_of_version_2_that_lies_is_refused(maps, found):
    assert found in refusal(changed(psbts.version_2(sample()), **maps))


def test_an_output_that_the_spent_transaction_has_not_is_refused():
    psbt = sample()
    made = CTransaction.deserialize(psbt.whole[b"\x00"])
    spend = CTxIn(COutPoint(made.vin[0].prevout.hash, 1))
    psbt.whole[b"\x00"] = CTransaction([spend], made.vout).serialize()
    assert "does not spend" in refusal(psbt.written())


def test_a_key_that_stands_there_twice_is_refused():
    twice = psbts.sized(b"\x01") + psbts.sized(psbts.output(100_000, key(0).script))
    assert sample().written().count(twice) == 1
    assert "twice" in refusal(sample().written().replace(twice, twice * 2))


def test_no_byte_may_be_missing_or_too_many():
    data = sample().written()
    for end in range(len(data)):
        assert refusal(data[:end])
    assert "follows its end" in refusal(data + b"\0")


@settings(deadline=None)
@given(st.data())
def test_no_damage_leaks_another_exception(data):
    raw = bytearray(data.draw(st.sampled_from([sample().written(), psbts.version_2(sample()).written(), VERSION_2])))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(5, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WalletError):
        psbt = read_psbt(bytes(raw))
        assert read_psbt(psbt.data) == psbt


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50_000_000), st.integers(0, 3)), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 50_000_000), st.binary(min_size=10, max_size=400)), min_size=1, max_size=4),
    st.booleans(),
)
def test_both_versions_say_the_same(coins, paid, whole):
    spent = [(value + number, key(which).script) for number, (value, which) in enumerate(coins)]
    made = transaction(spent, paid)
    psbt = psbts.version_0(made, spent, [made_by(coin) for coin in spent] if whole else ())
    psbt.whole[b"\x01" + b"x" * 78] = b"\1\2\3\4"  # what is not read is handed on
    read = read_psbt(psbt.written())
    again = read_psbt(base64.b64encode(psbts.version_2(psbt).written()) + b"\n")
    assert read == again
    assert read.data == psbt.written()
    assert read.transaction == unsigned_transaction(read.data) == made.serialize()
    assert read.coins == tuple(Coin(*coin) for coin in spent)
    assert read.fee == fee(read.data) == sum(value for value, _ in spent) - sum(value for value, _ in paid)
    assert [(output.value, output.script) for output in outputs_of(read.transaction)] == paid
    assert spent_by(read.transaction) == [(sha256d(made_by(coin)), 0) for coin in spent]


@pytest.mark.parametrize("length", [0, 0xFC, 0xFD, 0xFFFF, 0x10000, 70_000])
def test_a_field_of_any_length_is_handed_on(length):
    psbt = sample()
    psbt.inputs[0][b"\xfcmore"] = bytes(length)
    assert read_psbt(psbt.written()).data == psbt.written()


def test_an_input_of_version_2_without_a_sequence_is_final():
    psbt = psbts.version_2(sample())
    del psbt.inputs[0][b"\x10"]
    made = CTransaction.deserialize(read_psbt(psbt.written()).transaction)
    assert made.vin[0].nSequence == 0xFFFFFFFF


def test_a_version_2_without_a_lock_time_has_none():
    psbt = psbts.version_2(sample())
    del psbt.whole[b"\x03"]
    assert CTransaction.deserialize(read_psbt(psbt.written()).transaction).nLockTime == 0


def test_another_library_reads_the_same():
    psbt = read_psbt(psbts.version_2(sample()).written())
    genuine = bdkpython.Psbt(base64.b64encode(psbt.data).decode())
    assert genuine.fee() == psbt.fee == 157
    assert str(genuine.extract_tx().compute_txid()) == display(sha256d(psbt.transaction))


def test_what_looks_like_one_is_told():
    assert is_psbt(VERSION_2)
    assert is_psbt(TWO_LEGACY.encode() + b"\n")
    assert not is_psbt(NETWORK_TRANSACTION.encode())
    assert not is_psbt(b"\xff\xfe")


@pytest.mark.parametrize(
    ("script", "is_one"),
    [
        (b"\x00\x14" + bytes(20), True),
        (b"\x00\x20" + bytes(32), True),
        (b"\x51\x20" + bytes(32), True),
        (b"\x60\x02" + bytes(2), True),
        (b"\x51\x28" + bytes(40), True),
        (b"\x61\x20" + bytes(32), False),
        (b"\x50\x20" + bytes(32), False),
        (b"\x01\x20" + bytes(32), False),
        (b"\x51\x29" + bytes(41), False),
        (b"\x51\x01" + bytes(1), False),
        (b"\x00\x14" + bytes(21), False),
        (b"\xa9\x14" + bytes(20) + b"\x87", False),
        (b"\x00", False),
        (b"", False),
    ],
)
def test_witness_programs_are_told_from_other_scripts(script, is_one):
    assert Coin(1, script).witness == is_one

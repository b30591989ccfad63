"""The sentences an auditor reads: what is claimed, what it rests on, what it does not say (docs/format.md, 7)."""

import re
from typing import TYPE_CHECKING

from medanchor.cli.context import time_text
from medanchor.cli.output import name_of, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medanchor.core.ladder import Likeness
    from medanchor.core.statement import Statement
    from medanchor.core.verify import Attestation
    from medanchor.vault.anchors import AnchorRow
    from medanchor.wallet.wallet import Balance

NOT_SAID = (
    "it does not say that the content is true, who the person behind the key is,"
    " or that nothing was left out before stamping"
)

CHEAP = {
    "regtest": "on regtest anybody can make a block at any time: this is for trying out, it proves nothing to others",
    "testnet3": "on testnet3 a block can be had cheaply after 20 minutes: this is for trying out",
    "testnet4": "on testnet4 a block can be had cheaply after 20 minutes: this is for trying out",
    "signet": (
        "signet's blocks are made by its signers alone, whose signatures headers do not hold: this is for trying out"
    ),
}


def person(name: str, role: str) -> str:
    """Return how a sentence calls the holder of a key: the name, and the role if there is one."""
    return f"{name} ({role})" if role else name


def follows_words(kind: str, entry: object) -> str:
    """Return what a statement follows, and as what: "entry 3 as retraction"."""
    return f"entry {entry} as {kind}"


def follows_fields(statement: "Statement") -> list[dict[str, object]]:
    """Return the JSON of what a statement says about earlier ones (docs/json.md)."""
    return [{"entry": item.entry, "kind": item.kind, "reason": item.reason} for item in statement.follows]


def likeness_lines(likeness: "Likeness", within: bytes | None) -> list[str]:
    """Return what there is to say of a record in hand that has not the bytes that were stamped, or lies in another."""
    from medanchor.core.ladder import Rung

    lines = []
    if likeness.parts:
        lines.append(f"{likeness.rung}, and accepted: not as it was stamped: {parts_words(likeness.parts)}")
    elif likeness.rung is not Rung.EXACT:
        lines.append(f"{likeness.rung}: written anew since it was stamped, and every part of it is the same")
    if within is not None:
        lines.append(f"the record is inside the file in hand: {name_of(within)}")
    return lines


def parts_words(parts: "Sequence[str]") -> str:
    """Return the parts that differ, as a sentence has them."""
    return " and ".join(f"its {part}" for part in parts)


_PLACE = re.compile(rb"content|(?:[0-9]+|entry/[0-9]+)(?:/entry/[0-9]+)*")
"""How a record inside another one is called, but for the members of archives: those have names that people gave."""


def likeness_fields(likeness: "Likeness", within: bytes | None, *, names: bool) -> dict[str, object]:
    """Return the JSON of how like a record is to what was stamped, with `names` of members or without."""
    fields: dict[str, object] = {"likeness": likeness.rung.value, "differing": list(likeness.parts)}
    if within is not None:
        fields["inside"] = name_of(within) if names or _PLACE.fullmatch(within) else ""
    return fields


def _existed(likeness: "Likeness | None") -> str:
    from medanchor.core.ladder import Rung

    if likeness is None or likeness.rung is Rung.EXACT:
        return "the record existed, unchanged,"
    if likeness.parts:
        return f"a record that differs in {parts_words(likeness.parts)} alone existed"
    return "a record of the same content existed"


def claim(attestation: "Attestation", likeness: "Likeness | None" = None) -> str:
    """Return the one sentence: what existed, by when, in which block, signed by whom as what, and about what."""
    signer = attestation.signer or f"the key {attestation.key_id.hex()[:16]}"
    follows = "".join(f", following {follows_words(item.kind, item.entry)}" for item in attestation.statement.follows)
    return (
        f"{_existed(likeness)} no later than about {time_text(attestation.time)},"
        f" block {attestation.height} on {attestation.network}, {plural(attestation.confirmations, 'confirmation')};"
        f" signed by {signer} as {attestation.statement.meaning} on {attestation.statement.time}{follows}"
    )


def verdict_lines(
    attestation: "Attestation", evidence: str = "this file", likeness: "Likeness | None" = None
) -> list[str]:
    """Return the verdict on `evidence` that passed every step: claim, what it rests on, what it does not say."""
    from medanchor.core.verify import TrustLevel

    if attestation.level is TrustLevel.CONSISTENT:
        first = f"consistent, but nothing outside {evidence} confirms the block: {claim(attestation, likeness)}"
        work = f"whose headers took 2^{attestation.work.bit_length() - 1} hashes of work"
        rests = f"rests on: {evidence} alone, {work}; compare the block with a source you trust before you rely on it"
    elif attestation.level is TrustLevel.HEADER_CHAIN:
        first = f"verified against {attestation.witness}: {claim(attestation, likeness)}"
        rests = "rests on: that header chain, checked by Bitcoin Core's rules, and on SHA-256 and Ed25519"
    else:
        first = f"verified by {attestation.witness}: {claim(attestation, likeness)}"
        rests = f"rests on: what {attestation.witness} says is the best chain, and on SHA-256 and Ed25519"
    return [first, rests, *caveats(attestation)]


def caveats(attestation: "Attestation") -> list[str]:
    """Return what a reader must know beside the claim."""
    lines = [f"mind: {NOT_SAID}", "mind: a block's clock may be off by up to two hours"]
    if remark := CHEAP.get(attestation.network.value):
        lines.append(f"mind: {remark}")
    return lines


def attestation_fields(attestation: "Attestation") -> dict[str, object]:
    """Return the JSON of an attestation (docs/json.md)."""
    from medanchor.core.hashes import display

    return {
        "block": {
            "confirmations": attestation.confirmations,
            "hash": display(attestation.block_hash),
            "height": attestation.height,
            "network": attestation.network.value,
            "time": time_text(attestation.time),
        },
        "follows": follows_fields(attestation.statement),
        "meaning": attestation.statement.meaning,
        "signer": {"key_id": attestation.key_id.hex(), "name": attestation.signer},
        "stamped": attestation.statement.time,
        "transaction": display(attestation.txid),
        "trust": {"level": int(attestation.level), "witness": attestation.witness},
        "work": attestation.work.bit_length() - 1,
    }


def anchor_sentence(row: "AnchorRow") -> str:
    """Return what an anchor covers and where it stands."""
    from medanchor.core.hashes import display
    from medanchor.notary.standing import transaction_id

    entries, transaction = plural(row.size, "entry"), f"transaction {display(transaction_id(row))}"
    if row.sending.psbt:
        return f"{transaction} for {entries} of the ledger waits for its signature: nothing is sent"
    if row.evidence is None:
        return f"{transaction} for {entries} of the ledger waits for a block"
    block = row.evidence.block
    return (
        f"anchored {entries} of the ledger in block {block.height} on {row.evidence.network},"
        f" {plural(1 + len(block.successors), 'confirmation')}, {transaction}"
    )


def fee_words(row: "AnchorRow", price: str) -> str:
    """Return what an anchor costs: in satoshi and sat/vB and, by the `price` of a bitcoin ("90000 EUR"), in money."""
    from medanchor.notary.standing import virtual_size

    fee = row.sending.fee
    return f"fee: {fee:,} sat, {fee / virtual_size(row):.1f} sat/vB{money_words(fee, price)}"


def cost_words(fees: int, records: int, price: str) -> str:
    """Return what the anchors in blocks have cost, and what that is for each record they cover."""
    each = fees / records
    return f"anchoring has cost {fees:,} sat so far, {each:.3g} sat a record{money_words(each, price)}"


def money_words(satoshi: float, price: str) -> str:
    """Return so many satoshi in money, after a comma: nothing without the `price` of a bitcoin."""
    if not price:
        return ""
    amount, currency = price.split()
    return f", about {satoshi * float(amount) / COIN:.3g} {currency}"


def balance_words(balance: "Balance") -> str:
    """Return what a wallet has, in satoshi."""
    pending = f", {balance.pending:,} sat more not in a block yet" if balance.pending else ""
    return f"the wallet has {balance.confirmed:,} sat{pending}"


COIN = 100_000_000
"""Satoshi in a bitcoin."""

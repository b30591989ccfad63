"""What is checked before a wallet's transaction is signed, and before it is believed: the same for every wallet.

Here a wallet's word counts for nothing but which outputs are its own: payload, fee and size are read from the bytes,
and signatures are judged by Bitcoin Core's script engine.
"""

from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal

from medanchor.core.commitment import anchor_script
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.errors import MalformedProofError, VerificationError, WalletError
from medanchor.wallet.psbt import Coin, Psbt, outputs_of
from medanchor.wallet.wallet import Draft, Terms

_KEY_HASH, _TAPROOT = 22, b"\x51\x20"
_WITNESS = {"key hash": 108, "taproot": 66, "script": 400}
"""Weight of an input's witness: a signature of 72 bytes and a key; a signature; and of a script, as many as 2-of-3."""

_MARKER = 2  # weight of BIP 144's marker and flag

_MENDED = "nothing was signed or sent; report this, with the wallet's name and version"
_WHOLE = "is it the PSBT that 'medanchor anchor --psbt' wrote, signed?"


def check_draft(psbt: Psbt, payload: bytes, terms: Terms, *, own: Callable[[bytes], bool], exact: bool = True) -> Draft:
    """Return `psbt` as a draft, if it is what was asked for: an anchor of `payload` within `terms`, and nothing else.

    `own` says whether an output script is the wallet's own. Without `exact` the fee is held against its ceiling only:
    one that replaces another pays more than the rate by rights, and so does one that pays for a parent that is stuck.

    Raises WalletError.
    """
    if not all(coin.witness for coin in psbt.coins):
        raise WalletError(
            "the wallet would spend a coin whose signature changes the transaction's id",
            hint="move its coins to an address of 'medanchor wallet address' first",
        )
    change = _change(psbt, payload)
    if not all(own(coin.script) for coin in change):
        raise WalletError("the wallet would pay somebody else besides the anchor", hint=_MENDED)
    check_fee(psbt.fee, terms)
    if exact and change and psbt.fee > _most(terms.rate, signed_size(psbt)):
        raise WalletError(
            f"expected a fee rate of about {terms.rate:f} sat/vB, found {psbt.fee} sat for {signed_size(psbt)} vB",
            hint=_MENDED,
        )
    return Draft(psbt.data, psbt.transaction, psbt.fee)


def check_fee(fee: int, terms: Terms) -> None:
    """Check that `fee` (satoshi) is none that nobody wanted to pay. Raises WalletError."""
    if fee < 0:
        raise WalletError("the wallet would spend more than it has", hint=_MENDED)
    if fee > terms.max_fee:
        raise WalletError(
            f"expected a fee of at most {terms.max_fee:,} sat, found {fee:,}",
            hint="wait until fees are lower, or allow more with --max-fee",
        )


def check_signed(psbt: Psbt, transaction: bytes) -> bytes:
    """Return `transaction` (serialised, with its witness) if it is what `psbt` becomes when it is signed.

    Bitcoin Core's script engine judges each input against the coin it spends: what passes can be mined as long as the
    coins are there. Raises WalletError if it is another transaction, or a signature is missing or does not hold.
    """
    try:
        same = strip_witness(transaction) == psbt.transaction
    except MalformedProofError:
        same = False
    if not same:
        raise WalletError("the signed transaction is another one than was to be signed", hint=_WHOLE)
    if refused := _refused_inputs(psbt, transaction):
        raise WalletError(f"the signature of input {refused[0]} is missing or does not hold", hint=_WHOLE)
    return transaction


def _refused_inputs(psbt: Psbt, transaction: bytes) -> list[int]:
    """Return the inputs (from zero) of the signed `transaction` that Bitcoin Core's script engine refuses."""
    import pbk

    every = range(len(psbt.coins))
    scripts = [pbk.ScriptPubkey(coin.script) for coin in psbt.coins]
    spent = [pbk.TransactionOutput(script, coin.value) for script, coin in zip(scripts, psbt.coins, strict=True)]
    try:
        signed = pbk.Transaction(transaction)
    except RuntimeError:  # the engine wants no witness at all where every one is empty
        return list(every)
    known = pbk.script.PrecomputedTransactionData(signed, spent)
    rules = pbk.ScriptVerificationFlags.ALL
    return [at for at in every if not scripts[at].verify(psbt.coins[at].value, signed, known, at, rules)]


def signed_size(psbt: Psbt) -> int:
    """Return the virtual size in vB that a PSBT's transaction has once it is signed, a few bytes more at the most."""
    return _virtual(len(psbt.transaction), _MARKER + sum(_WITNESS[_kind(coin)] for coin in psbt.coins))


def virtual_size(transaction: bytes) -> int:
    """Return the virtual size in vB of a transaction (serialised) (BIP 141). Raises WalletError if it is none."""
    try:
        stripped = len(strip_witness(transaction))
    except MalformedProofError as error:
        raise WalletError(error.message) from None
    return _virtual(stripped, len(transaction) - stripped)


def _virtual(stripped: int, witness: int) -> int:
    return stripped + (witness + 3) // 4


def _kind(coin: Coin) -> str:
    if len(coin.script) == _KEY_HASH:
        return "key hash"
    return "taproot" if coin.script.startswith(_TAPROOT) else "script"


def _most(rate: Decimal, size: int) -> int:
    """Return the fee above which a wallet did not do as it was told, with room for roundings and long signatures."""
    return int(((rate * Decimal("1.1") + 1) * size).to_integral_value(ROUND_CEILING))


def _change(psbt: Psbt, payload: bytes) -> list[Coin]:
    """Return the outputs besides the anchor, of which there is one, worth nothing, with `payload`."""
    try:
        found = anchored_payload(psbt.transaction)
    except VerificationError:
        found = None
    outputs = outputs_of(psbt.transaction)
    anchor = Coin(0, anchor_script(payload))
    if found != payload or anchor not in outputs:
        raise WalletError("the wallet made a transaction that does not carry the payload", hint=_MENDED)
    return [output for output in outputs if output != anchor]

"""Anchoring with keys that never touch a networked machine: a PSBT (BIP 174) goes out, and comes back signed."""

from dataclasses import replace

from medanchor.chain.source import Chain
from medanchor.core.commitment import payload
from medanchor.core.hashes import sha256d
from medanchor.core.transaction import strip_witness
from medanchor.errors import UsageError
from medanchor.notary.anchor import LOCK, AnchorResult, Policy, Run
from medanchor.notary.standing import transaction_id
from medanchor.vault.anchors import AnchorRow, Sending
from medanchor.vault.store import Store, locked
from medanchor.wallet.wallet import CoinWallet, Draft, Terms


def draft(store: Store, chain: Chain, wallet: CoinWallet, policy: Policy, *, time: str) -> AnchorResult:
    """Bring every anchor one step on, and draft the transaction that is to be signed next, if there is one.

    It is the result's newest one if that has a `psbt`, and the same one until another is needed: for a newer head, or
    because the one that was sent waits for too long. Every draft spends a coin of the one before it that is not in a
    block, so that whatever is signed of them, one can be mined. Raises ChainError, WalletError.
    """
    with locked(store.directory / LOCK):
        run = Run(store, chain, policy, time)
        reorganised, finished = run.notice_reorganisations(), run.follow()
        size = store.size()
        newest = run.newest(size)
        if newest is None and size:
            newest = _new(run, wallet, size, store)
        elif newest and newest.evidence is None and (rate := run.higher_rate(newest)):
            paying = wallet.fund(
                payload(store.head(newest.size)), Terms(rate, policy.max_fee), replacing=newest.transaction
            )
            newest = _kept(run, newest.size, paying, run.height, newest.number)
        return AnchorResult(newest, False, finished, reorganised)


def complete(store: Store, chain: Chain, wallet: CoinWallet, policy: Policy, psbt: bytes, *, time: str) -> AnchorResult:
    """Send the transaction of a signed PSBT that `draft` made; again, if no source has taken it so far.

    Raises UsageError if it did not, ChainError, WalletError.
    """
    with locked(store.directory / LOCK):
        run = Run(store, chain, policy, time)
        reorganised = run.notice_reorganisations()
        transaction = wallet.finish(psbt)
        txid = sha256d(strip_witness(transaction))
        unsent = [row for row in run.rows if row.sending.psbt or not row.sending.sent]
        row = next((row for row in unsent if transaction_id(row) == txid), None)
        if row is None:
            raise UsageError(
                "this vault did not draft that transaction, or has sent it already",
                hint="run 'medanchor anchor --psbt FILE' and sign what it writes, unchanged",
            )
        signed = run.put(row, transaction=transaction, sending=replace(row.sending, psbt=None))
        return AnchorResult(run.send(signed), True, [], reorganised)


def _new(run: Run, wallet: CoinWallet, size: int, store: Store) -> AnchorRow:
    """Draft the transaction for the head of `size` entries; in place of an older draft that nobody signed so far."""
    unsigned = next((row for row in reversed(run.rows) if row.sending.psbt and row.evidence is None), None)
    before = unsigned.transaction if unsigned else None
    terms, height = run.terms(), run.height
    paying = wallet.fund(payload(store.head(size)), terms, replacing=before)
    return _kept(run, size, paying, height, unsigned.number if unsigned else None)


def _kept(run: Run, size: int, paying: Draft, height: int, replaces: int | None) -> AnchorRow:
    return run.add(
        size, paying.transaction, Sending(paying.fee, waits_from=height, replaces=replaces, psbt=paying.psbt)
    )

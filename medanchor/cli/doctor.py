"""`medanchor doctor`: what is wrong here, and the command that mends it."""

import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medanchor import __version__
from medanchor.cli import options
from medanchor.cli.context import key_name, open_config, open_store, time_text, vault_directory
from medanchor.cli.output import Output, plural
from medanchor.cli.payers import coin_wallet
from medanchor.cli.sources import embedded, has_chain, open_chain
from medanchor.errors import ChainError, MedanchorError, VaultError, WalletError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from medanchor.vault.store import Store

LOW_SPACE = 500_000_000
CLOCK_SLACK = 60
"""Seconds by which this clock may be behind what was written down before: clocks are set back a little now and then."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing looked at: whether it is well, what was found, and what mends it."""

    name: str
    well: bool
    found: str
    mend: str | None = None


def doctor(
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Say what is wrong here, and what mends it.

    It looks at permissions, configuration, keys, disk space, clock and chain, and says which versions run.

    Example: medanchor doctor
    """
    out = Output(json, quiet, verbose)
    with open_store(vault, read_only=True) as store:
        checks: list[tuple[str, Callable[[Store], str]]] = [
            ("program", lambda _: f"medanchor {__version__} on Python {sys.version.split()[0]}"),
            ("vault", lambda store: f"{store.directory}, {plural(store.size(), 'entry')}, ledger {store.origin}"),
            ("permissions", _permissions),
            (
                "config",
                lambda store: f"meaning {open_config(store).meaning}, confirmations {open_config(store).confirmations}",
            ),
            ("keys", _keys),
            ("disk", _disk),
            ("clock", _clock),
            ("chain", _chain),
            ("wallet", _wallet),
        ]
        diagnoses = [_diagnose(name, check, store) for name, check in checks]
    lines = [line for diagnosis in diagnoses for line in _lines(diagnosis)]
    fields = [{"name": item.name, "well": item.well, "found": item.found, "mend": item.mend} for item in diagnoses]
    out.result(*lines, vault=str(vault_directory(vault)), checks=fields)
    if wrong := [diagnosis.name for diagnosis in diagnoses if not diagnosis.well]:
        hint = "run it without --quiet to see what mends it" if out.quiet else "what mends it is said above"
        out.fail(VaultError(f"not well: {', '.join(wrong)}", hint=hint))


def _diagnose(name: str, check: "Callable[[Store], str]", store: "Store") -> Diagnosis:
    try:
        return Diagnosis(name, True, check(store))
    except MedanchorError as error:
        return Diagnosis(name, False, error.message, error.hint)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Diagnosis(name, False, f"it cannot be looked at: {reason}", "run it again, as the user it belongs to")


def _lines(diagnosis: Diagnosis) -> list[str]:
    mark = "ok   " if diagnosis.well else "WRONG"
    lines = [f"{mark} {diagnosis.name}: {diagnosis.found}"]
    return [*lines, f"      mend: {diagnosis.mend}"] if diagnosis.mend else lines


def _permissions(store: "Store") -> str:
    from medanchor.vault.private import check_private

    paths = [store.directory, *sorted(store.directory.rglob("*"))]
    for path in paths:
        with suppress(FileNotFoundError):  # another command has just ended, and SQLite has tidied up after it
            check_private(path)
    return f"all {len(paths)} files and folders are their owner's alone"


def _keys(store: "Store") -> str:
    from medanchor.vault.keys import list_keys, read_key

    keys = [read_key(store.directory, name) for name in list_keys(store.directory)]
    if not keys:
        raise VaultError("there is no key to sign with", hint="medanchor key new NAME")
    read_key(store.directory, key_name(store, None))
    return ", ".join(f"{key.name} of {key.person}" for key in keys)


def _disk(store: "Store") -> str:
    free = shutil.disk_usage(store.directory).free
    if free < LOW_SPACE:
        raise VaultError(f"only {free / 1e6:.0f} MB are free", hint="free some space; a million records need 160 MB")
    if not os.access(store.directory, os.W_OK):
        raise VaultError(
            "the vault cannot be written", hint="run as the user it belongs to, on a disk that is not read-only"
        )
    return f"{free / 1e9:.1f} GB free"


def _clock(store: "Store") -> str:
    """Compare this machine's clock with the newest times written down; a clock that is ahead looks like a right one."""
    now = int(time.time())
    for what, known in _newest_times(store):
        if known > time_text(now + CLOCK_SLACK):
            raise VaultError(
                f"expected it to be past {known}, the time of the newest {what}, found {time_text(now)}",
                hint="set the clock, and see that it stays right: timedatectl set-ntp true",
            )
    return f"{time_text(now)}, not earlier than anything written here"


def _newest_times(store: "Store") -> "Iterator[tuple[str, str]]":
    from medanchor.core.header import Header
    from medanchor.vault.anchors import list_anchors

    if size := store.size():
        yield "statement", store.entry(size - 1).statement.time
    if anchors := list_anchors(store):
        yield "anchor", anchors[-1].prepared
    if has_chain(store):
        with suppress(ChainError):  # what it lacks is told by the look at the chain
            yield "block", time_text(Header.parse(open_chain(store).tip().header).time)


def _chain(store: "Store") -> str:
    from medanchor.core.header import Header

    if embedded(store, open_config(store)) and not has_chain(store):
        return "the embedded regtest chain is made at the first anchor"
    chain = open_chain(store)
    tip = chain.tip()
    return f"{chain.name}: height {tip.height}, newest block {time_text(Header.parse(tip.header).time)}"


def _wallet(store: "Store") -> str:
    from medanchor.cli.words import balance_words

    config = open_config(store)
    if not config.wallet:
        return "none is configured" + ("; the embedded chain needs none" if embedded(store, config) else "")
    balance = coin_wallet(store, config).balance()
    if balance.confirmed < config.max_fee:
        raise WalletError(balance_words(balance), hint="send it some coins: medanchor wallet address")
    return balance_words(balance)

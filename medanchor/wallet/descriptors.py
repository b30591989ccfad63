"""What a wallet's coins are found by: two public descriptors (BIP 380), one of its addresses and one of its change.

They are made from words (BIP 39, BIP 84), or given by whoever keeps the keys elsewhere. No private key is ever in them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medanchor.core.header import Network
from medanchor.errors import UsageError
from medanchor.wallet.library import library, network_kind, refusals

if TYPE_CHECKING:
    import bdkpython

_SEGWIT = ("WPKH", "WSH", "WSH_SORTED_MULTI", "TR")
"""Kinds of descriptors whose coins are spent without changing the spending transaction's id."""

_ORIGIN = re.compile(r"\[[^]]*\]")
_HARDENED = re.compile(r"/(?:\d+|\*)['hH]|<[^>]*['hH][^>]*>")
_PAIR = 2
_EXAMPLE = "such as 'wpkh([FINGERPRINT/84h/0h/0h]XPUB/<0;1>/*)', as the signer's software exports it"


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The public descriptors of a wallet's addresses and of its change, on a network."""

    network: Network
    external: str
    change: str

    def parsed(self) -> "tuple[bdkpython.Descriptor, bdkpython.Descriptor]":
        """Return both as the library has them. Raises the library's errors if they are damaged."""
        kind = network_kind(self.network)
        return library().Descriptor(self.external, kind), library().Descriptor(self.change, kind)


def new_words() -> str:
    """Return 12 new words (BIP 39): 128 random bits of the operating system, and a checksum."""
    bdk = library()
    return str(bdk.Mnemonic(bdk.WordCount.WORDS12))


def read_words(text: str) -> str:
    """Return the words that `text` holds, in lower case, single-spaced. Raises UsageError, and tells none of them."""
    words = " ".join(text.lower().split())
    try:
        library().Mnemonic.from_string(words)
    except library().Bip39Error as error:
        told = _NOT_WORDS.get(type(error).__name__, "a word is wrong, or two are exchanged")
        raise UsageError(
            f"these are not the words of a wallet: {told}",
            hint="12, 15, 18, 21 or 24 English words of BIP 39, in order",
        ) from None
    return words


_NOT_WORDS = {
    "BadWordCount": "expected 12, 15, 18, 21 or 24 of them",
    "UnknownWord": "one of them is not on the list of BIP 39",
}


def private_pair(words: str, network: Network) -> "tuple[bdkpython.Descriptor, bdkpython.Descriptor]":
    """Return the descriptors that `words` make, with the private keys in them: to sign with, and then to forget."""
    bdk, kind = library(), network_kind(network)
    key = bdk.DescriptorSecretKey(kind, bdk.Mnemonic.from_string(words), None)
    chains = (bdk.KeychainKind.EXTERNAL, bdk.KeychainKind.INTERNAL)
    external, change = (bdk.Descriptor.new_bip84(key, chain, kind) for chain in chains)
    return external, change


def from_words(words: str, network: Network) -> Descriptors:
    """Return the public descriptors that `words` make on `network` (BIP 84)."""
    external, change = (str(descriptor.as_public()) for descriptor in private_pair(words, network))
    return Descriptors(network, external, change)


def watched(texts: Sequence[str], network: Network) -> Descriptors:
    """Return the public descriptors in `texts`: two, of addresses and of change, or one that is both (BIP 389).

    Raises UsageError if they hold a private key, are of another network, or spend as no anchor may.
    """
    if any("prv" in text for text in texts):
        raise UsageError(
            "expected public descriptors, found a private key",
            hint="it has been typed here now: move its coins to a new key, and export the public descriptors",
        )
    parsed = [_read(text.strip(), network) for text in texts]
    if len(parsed) == 1 and parsed[0].is_multipath():
        parsed = parsed[0].to_single_descriptors()
    if len(parsed) != _PAIR or any(descriptor.is_multipath() for descriptor in parsed):
        raise UsageError("expected a descriptor of addresses and one of change, or one for both", hint=_EXAMPLE)
    external, change = (_checked(descriptor) for descriptor in parsed)
    if external == change:
        raise UsageError("expected another descriptor of change than that of addresses", hint=_EXAMPLE)
    return Descriptors(network, external, change)


def _read(text: str, network: Network) -> "bdkpython.Descriptor":
    if _HARDENED.search(_ORIGIN.sub("", text)):  # asked for an address of it, the library ends the whole process
        raise UsageError("expected a descriptor whose addresses need no private key", hint=_EXAMPLE)
    with refusals(f"this is no descriptor for {network}", hint=_EXAMPLE, error=UsageError):
        return library().Descriptor(text, network_kind(network))


def _checked(descriptor: "bdkpython.Descriptor") -> str:
    """Return the text of a descriptor that has addresses without end, whose coins are spent by their witness alone."""
    if descriptor.desc_type().name not in _SEGWIT or not descriptor.has_wildcard():
        raise UsageError("expected a descriptor wpkh(…/*), wsh(…/*) or tr(…/*), found another", hint=_EXAMPLE)
    return str(descriptor)

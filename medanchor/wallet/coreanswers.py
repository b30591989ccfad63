"""What Bitcoin Core's wallet answers, read strictly, and its refusals in words that say what to do.

Anything of another form raises MalformedProofError, which `Words.told` turns into a ChainError that names the node.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from medanchor.core.encoding import text
from medanchor.core.header import Network
from medanchor.errors import ChainError, MalformedProofError, WalletError
from medanchor.net.rpc import METHOD_NOT_FOUND, RpcError
from medanchor.wallet.psbt import Psbt, read_psbt
from medanchor.wallet.wallet import Balance

WALLET_ERROR, INSUFFICIENT_FUNDS, INVALID_PARAMETER = -4, -6, -8
KEYPOOL_RAN_OUT, UNLOCK_NEEDED = -12, -13
NO_SUCH_WALLET, ALREADY_LOADED = -18, -35
"""Bitcoin Core's error numbers (rpc/protocol.h)."""

POOR = (WALLET_ERROR, INSUFFICIENT_FUNDS)
"""What a wallet answers that has not enough; the first of them also for much else."""

CHAINS = {
    Network.MAINNET: "main",
    Network.TESTNET3: "test",
    Network.TESTNET4: "testnet4",
    Network.SIGNET: "signet",
    Network.REGTEST: "regtest",
}
"""What `getblockchaininfo` calls the networks."""

BALANCES = ("trusted", "untrusted_pending", "immature")

REPORT = "nothing was signed or sent; report this, with the version of Bitcoin Core"
SIGN_IT = "sign it with all the keys it needs, then give it again"
ELSEWHERE = "sign elsewhere: 'medanchor anchor --psbt FILE' writes what is to be signed"

_PREFIXES = {Network.MAINNET: "bc", Network.REGTEST: "bcrt"}
_MOST = 21_000_000  # coins there can ever be
_DECIMALS = 8
_OTHER = "is it a Bitcoin Core node? Mend its address in config.toml"


def members(value: object, *names: str) -> Mapping[str, object]:
    """Return `value` as a JSON object that has the members `names`, and maybe others. Raises MalformedProofError."""
    if not isinstance(value, dict) or not value.keys() >= set(names):
        raise MalformedProofError(f"expected an object with {', '.join(names)}")
    return cast("Mapping[str, object]", value)


def items(value: object) -> Sequence[object]:
    """Return `value` as a JSON array. Raises MalformedProofError."""
    if not isinstance(value, list):
        raise MalformedProofError("expected an array")
    return value


def satoshi(value: object) -> int:
    """Return an amount in BTC as satoshi, exactly. Raises MalformedProofError."""
    amount = Decimal(value) if type(value) is int else value
    if not isinstance(amount, Decimal) or not amount.is_finite() or not 0 <= amount <= _MOST:
        raise MalformedProofError("expected an amount")
    if cast("int", amount.as_tuple().exponent) < -_DECIMALS:
        raise MalformedProofError(f"expected an amount with at most {_DECIMALS} decimals")
    return int(amount.scaleb(_DECIMALS))


def psbt(value: object) -> Psbt:
    """Return the PSBT that `value` spells in Base64. Raises MalformedProofError."""
    try:
        return read_psbt(text(value).encode(errors="replace"))
    except WalletError as error:
        raise MalformedProofError(error.message) from None


def address(value: object, network: Network) -> str:
    """Return `value` as a P2WPKH or P2WSH address (BIP 173) of `network`. Raises MalformedProofError."""
    from bitcoin.segwit_addr import decode

    spelled = text(value)
    if decode(prefix(network), spelled)[0] != 0:
        raise MalformedProofError(f"expected an address of {network} that begins with {prefix(network)}1q")
    return spelled


def spelled(script: bytes, network: Network) -> str | None:
    """Return the address of an output script (BIP 173), None unless it is a P2WPKH or P2WSH one."""
    from bitcoin.segwit_addr import encode

    if script[:1] != b"\x00":
        return None
    return cast("str | None", encode(prefix(network), 0, script[2:]))


def prefix(network: Network) -> str:
    """Return what addresses of `network` begin with (BIP 173)."""
    return _PREFIXES.get(network, "tb")


@dataclass(frozen=True, slots=True)
class Words:
    """What is said about one wallet: `wallet` is what the node calls it, `node` what people call the node."""

    wallet: str
    network: Network
    node: str

    @property
    def name(self) -> str:
        """What people call the wallet."""
        return f"the Bitcoin Core wallet {self.wallet}"

    @contextmanager
    def told(self, wanted: str) -> Iterator[None]:
        """Turn what the node refuses into a WalletError: the wallet cannot do what was `wanted`, and what to do."""
        try:
            yield
        except RpcError as error:
            raise self._refusal(wanted, error) from None
        except MalformedProofError as error:
            raise ChainError(f"{self.node} gives a wrong answer: {error.message}", hint=_OTHER) from None

    def poor(self, error: RpcError, balance: Balance, needed: int, locked: int) -> WalletError:
        """Return the error for a wallet that cannot fund an anchor that takes about `needed` satoshi.

        `locked` of its coins are kept for something else; the node does not say in numbers whether that is why.
        """
        have = f"{balance.confirmed:,} sat" + (
            f" and {balance.pending:,} not yet in a block" if balance.pending else ""
        )
        short = f"expected about {needed:,} sat in {self.name}, found {have}"
        if balance.confirmed + balance.pending < needed:
            return WalletError(short, hint="send coins to the address that 'medanchor wallet address' prints")
        if locked:
            free = self._command("lockunspent true")
            hint = f"if no draft waits to be signed, '{free}' frees them"
            return WalletError(f"{short}, and {locked} of its coins are locked", hint=hint)
        if balance.confirmed < needed:
            return WalletError(short, hint="wait until they are in a block")
        return self._refusal("fund the anchor", error)

    def _refusal(self, wanted: str, error: RpcError) -> WalletError:
        if error.code == UNLOCK_NEEDED:
            unlock = self._command("walletpassphrase 60", "-stdinwalletpassphrase")
            return WalletError(f"{self.name} is locked", hint=f"'{unlock}' unlocks it for a minute; then try again")
        if error.code == NO_SUCH_WALLET:
            create = f"bitcoin-cli -chain={CHAINS[self.network]} createwallet {shlex.quote(self.wallet)}"
            return WalletError(
                f"{self.name} is not there", hint=f"'{create}' makes it, or mend its name in config.toml"
            )
        if error.code == METHOD_NOT_FOUND:
            return WalletError(f"{self.name} is not there: its node runs without wallets", hint=_NO_WALLETS)
        hint = "let 'keypoolrefill' make new keys, with the wallet unlocked" if error.code == KEYPOOL_RAN_OUT else _LOG
        return WalletError(f"{self.name} cannot {wanted}: {error.text}", hint=hint)

    def _command(self, command: str, *options: str) -> str:
        fixed = (f"-chain={CHAINS[self.network]}", f"-rpcwallet={shlex.quote(self.wallet)}", *options)
        return " ".join(("bitcoin-cli", *fixed, command))


_NO_WALLETS = "start it without -disablewallet, and with Bitcoin Core 28 or later"
_LOG = "look into the node's debug.log for more"

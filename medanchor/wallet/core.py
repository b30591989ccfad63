"""Bitcoin Core's own wallet, asked over RPC: the node picks the coins, signs, and remembers what is its own.

What it makes is checked before it is handed on (`draft.py`); which outputs are its own, and what it has, is its word.

No call here is dangerous to repeat but one: a draft's coins are locked, so that nobody else's draft takes them. The
node is told which coins, after they were chosen, and refuses one that is locked already; so two drafts never share a
coin, and when an answer is lost it is known what to free. Locks last until the coins are spent or the node restarts.
"""

from collections.abc import Sequence
from contextlib import suppress
from decimal import ROUND_CEILING, Decimal

from medanchor.core.encoding import number, to_base64
from medanchor.core.hashes import Hash, display, from_hex
from medanchor.core.header import Network
from medanchor.core.transaction import strip_witness, txid
from medanchor.errors import MalformedProofError, MedanchorError, WalletError
from medanchor.net.rpc import NOT_FOUND, Rpc, RpcError
from medanchor.wallet import coreanswers as answers
from medanchor.wallet.draft import check_draft, check_fee, check_signed, signed_size, virtual_size
from medanchor.wallet.psbt import Psbt, outputs_of, read_psbt, spent_by
from medanchor.wallet.wallet import Balance, Draft, Payment, Terms

_ATTEMPTS = 4
_USUAL_SIZE = 157
"""vB of an anchoring transaction with one P2WPKH coin and change."""

_INCREMENT = 1
"""sat/vB that a replacement pays above what it replaces (BIP 125, rule 4): most nodes' -incrementalrelayfee."""

_FINEST = Decimal("0.001")  # sat/vB: Bitcoin Core takes no finer rate

Outpoint = tuple[Hash, int]


class CoreWallet:
    """The wallet called `wallet` of the node behind `rpc`: a `CoinWallet`. It is loaded if the node has not loaded it.

    Nothing is asked before it is needed, and then first whether the node is on `network`.
    """

    def __init__(self, rpc: Rpc, network: Network, wallet: str) -> None:
        self.network = network
        self._rpc = rpc
        self._wallet = wallet
        self._words = answers.Words(wallet, network, rpc.name)

    @property
    def name(self) -> str:
        """What people read: "the Bitcoin Core wallet clinic"."""
        return self._words.name

    def prepare(self, payload: bytes, terms: Terms, *, replacing: bytes | None = None) -> Payment:
        """Return a complete transaction that carries `payload`, and send nothing; see `Wallet.prepare`.

        Raises WalletError, also when the wallet is encrypted and locked: no passphrase is ever asked for here.
        """
        draft = self.fund(payload, terms, replacing=replacing)
        try:
            return Payment(self._signed(draft), draft.fee)
        except BaseException:
            self._free(_new_coins(draft, replacing))
            raise

    def fund(self, payload: bytes, terms: Terms, *, replacing: bytes | None = None) -> Draft:
        """Return what `prepare` would sign, its coins locked in the node; see `CoinWallet.fund`."""
        with self._words.told("fund the anchor"):
            height = self._height()
            for _ in range(_ATTEMPTS):
                if replacing is None:
                    draft = self._new(payload, terms, height)
                else:
                    draft = self._replacement(payload, terms, replacing, height)
                if self._lock(_new_coins(draft, replacing)):
                    return draft
        raise WalletError(f"others keep taking the coins of {self.name}", hint="try again in a moment")

    def finish(self, psbt: bytes) -> bytes:
        """Return the complete transaction of a signed PSBT, wherever it was signed; see `CoinWallet.finish`."""
        signed = read_psbt(psbt)
        with self._words.told("finish the PSBT"):
            answer = answers.members(self._rpc.call("finalizepsbt", to_base64(signed.data), True), "complete")
            if answer["complete"] is not True:
                raise WalletError("the PSBT lacks a signature, or one does not hold", hint=answers.SIGN_IT)
            transaction = from_hex(answer.get("hex"))
        return check_signed(signed, transaction)

    def balance(self) -> Balance:
        """Return what the wallet has: in blocks; and its own change and what others sent, waiting, or immature."""
        with self._words.told("tell its balance"):
            self._height()
            mine = answers.members(answers.members(self._call("getbalances"), "mine")["mine"], *answers.BALANCES)
            confirmed = answers.satoshi(self._call("getbalance", "*", 1))
            total = sum(answers.satoshi(mine[part]) for part in answers.BALANCES)
        return Balance(confirmed, max(total - confirmed, 0))

    def address(self) -> str:
        """Return a new P2WPKH address of the wallet: what it receives there, anchors can be paid with."""
        with self._words.told("make an address"):
            self._height()
            return answers.address(self._call("getnewaddress", "", "bech32"), self.network)

    def _height(self) -> int:
        """Return the height of the node's tip. Raises WalletError if it is on another network."""
        info = answers.members(self._rpc.call("getblockchaininfo"), "chain", "blocks")
        if info["chain"] != answers.CHAINS[self.network]:
            found = next((network for network, name in answers.CHAINS.items() if name == info["chain"]), "another one")
            raise WalletError(
                f"expected a wallet on {self.network}, found {self.name} on {found}",
                hint="name a node on the vault's network in config.toml",
            )
        return number(info["blocks"])

    def _call(self, method: str, *params: object, again: bool = True) -> object:
        """Return what the wallet answers, loaded first if the node says that it has no such wallet."""
        try:
            return self._rpc.call(method, *params, wallet=self._wallet, again=again)
        except RpcError as error:
            if error.code != answers.NO_SUCH_WALLET:
                raise
        try:
            self._rpc.call("loadwallet", self._wallet)
        except RpcError as error:
            if error.code != answers.ALREADY_LOADED:
                raise
        return self._rpc.call(method, *params, wallet=self._wallet, again=again)

    def _new(self, payload: bytes, terms: Terms, height: int) -> Draft:
        """Return a draft that spends coins in blocks; if those do not do, also the wallet's own change that waits.

        For that one its parents' fees are made up too, so its own is held against the ceiling only.
        """
        try:
            psbt, exact = self._funded(payload, terms.rate, height), True
        except RpcError as error:
            if error.code not in answers.POOR:
                raise
            psbt, exact = self._funded_by_change(payload, terms, height), False
        return check_draft(psbt, payload, terms, own=self._own, exact=exact)

    def _funded_by_change(self, payload: bytes, terms: Terms, height: int) -> Psbt:
        try:
            return self._funded(payload, terms.rate, height, confirmations=0)
        except RpcError as error:
            if error.code not in answers.POOR:
                raise
            needed = int((terms.rate * _USUAL_SIZE).to_integral_value(ROUND_CEILING))
            locked = answers.items(self._call("listlockunspent"))
            raise self._words.poor(error, self.balance(), needed, len(locked)) from None

    def _replacement(self, payload: bytes, terms: Terms, old: bytes, height: int) -> Draft:
        """Return a draft that spends all that `old` does, and pays so much more that every node prefers it.

        Its rate is that of `terms`, or what outbids `old`, whichever is more. `old` need not be known to the wallet,
        nor carry the same payload; `psbtbumpfee` would ask for the one and keep the other.
        """
        stripped = _stripped(old)
        self._refuse_children(txid(stripped))
        inputs = spent_by(stripped)
        rate = terms.rate
        for _ in range(_ATTEMPTS):
            psbt = self._funded(payload, rate, height, inputs=inputs)
            least = _outbidding(psbt, stripped, virtual_size(old))
            check_fee(least, terms)
            if psbt.fee >= least:
                return check_draft(psbt, payload, terms, own=self._own, exact=False)
            rate = rate * least / max(psbt.fee, 1)
        raise WalletError("no fee was found that outbids the transaction to be replaced", hint="wait for a block")

    def _refuse_children(self, old: Hash) -> None:
        """Refuse to replace what another transaction builds on: that one would be undone too, whatever it pays for."""
        try:
            entry = answers.members(self._rpc.call("getmempoolentry", display(old)), "spentby")
        except RpcError as error:
            if error.code == NOT_FOUND:
                return
            raise
        if answers.items(entry["spentby"]):
            raise WalletError(
                "another transaction spends the change of the one to be replaced, and would be undone with it",
                hint="wait until they are in a block, or bump the fee of that other one",
            )

    def _funded(
        self, payload: bytes, rate: Decimal, height: int, *, inputs: Sequence[Outpoint] = (), confirmations: int = 1
    ) -> Psbt:
        """Return what the wallet makes of `payload`, not signed yet: it spends `inputs`, and adds its own coins.

        The lock time is the tip's height, as wallets have it against fee sniping; the node would set it for a
        transaction it sends itself. A change address is used up and nothing else changes, so it is safe to repeat.
        """
        options = {
            "add_inputs": True,
            "change_type": "bech32",
            "fee_rate": f"{rate.quantize(_FINEST, ROUND_CEILING):f}",
            "minconf": confirmations,
            "replaceable": True,
        }
        spent = _outpoints(inputs)
        made = self._call("walletcreatefundedpsbt", spent, [{"data": payload.hex()}], height, options)
        answer = answers.members(made, "psbt", "fee")
        psbt = answers.psbt(answer["psbt"])
        if psbt.fee != answers.satoshi(answer["fee"]):
            raise WalletError(f"{self.name} says another fee than its transaction pays", hint=answers.REPORT)
        return psbt

    def _own(self, script: bytes) -> bool:
        """Say whether the wallet calls an output script its own."""
        spelled = answers.spelled(script, self.network)
        if spelled is None:
            return False
        info = answers.members(self._call("getaddressinfo", spelled), "ismine", "scriptPubKey")
        return info["ismine"] is True and info["scriptPubKey"] == script.hex()

    def _lock(self, coins: Sequence[Outpoint]) -> bool:
        """Lock `coins`, all or none, and say whether they were free. Raises as `Rpc.call`, and then frees them."""
        if not coins:
            return True
        try:
            self._call("lockunspent", False, _outpoints(coins), again=False)
        except RpcError as error:
            if error.code != answers.INVALID_PARAMETER:
                raise
            return False
        except BaseException:
            self._free(coins)
            raise
        return True

    def _free(self, coins: Sequence[Outpoint]) -> None:
        """Unlock `coins`, as far as that is possible; this is for when something else went wrong already."""
        for coin in coins:
            with suppress(MedanchorError):
                self._call("lockunspent", True, _outpoints([coin]), again=False)

    def _signed(self, draft: Draft) -> bytes:
        """Return the transaction of `draft`, signed by the wallet."""
        with self._words.told("sign the anchor"):
            made = self._call("walletprocesspsbt", to_base64(draft.psbt))
            answer = answers.members(made, "psbt", "complete")
            if answer["complete"] is not True:
                raise WalletError(f"{self.name} has not the keys to sign for its coins", hint=answers.ELSEWHERE)
            signed = answers.psbt(answer["psbt"])
        if signed.transaction != draft.transaction:
            raise WalletError(f"{self.name} signed another transaction than it was to sign", hint=answers.REPORT)
        return self.finish(signed.data)


def _stripped(transaction: bytes) -> bytes:
    try:
        return strip_witness(transaction)
    except MalformedProofError as error:
        raise WalletError(f"what is to be replaced is none: {error.message}", hint=answers.REPORT) from None


def _outpoints(coins: Sequence[Outpoint]) -> list[dict[str, object]]:
    return [{"txid": display(made), "vout": index} for made, index in coins]


def _new_coins(draft: Draft, replacing: bytes | None) -> list[Outpoint]:
    """Return the coins of `draft` that the transaction it replaces does not spend already."""
    spent = spent_by(_stripped(replacing)) if replacing else []
    return [coin for coin in spent_by(draft.transaction) if coin not in spent]


def _outbidding(psbt: Psbt, old: bytes, old_size: int) -> int:
    """Return the least fee by which `psbt` replaces `old` (stripped): more in all, and by the byte (BIP 125, 3, 4)."""
    values = dict(zip(spent_by(psbt.transaction), (coin.value for coin in psbt.coins), strict=True))
    spent = spent_by(old)
    if not values.keys() >= set(spent) or any(made == txid(old) for made, _ in values):
        raise WalletError("the wallet made a transaction that cannot replace the other one", hint=answers.REPORT)
    paid = sum(values[coin] for coin in spent) - sum(output.value for output in outputs_of(old))
    size = signed_size(psbt)
    return max(paid, -(-paid * size // old_size)) + _INCREMENT * size

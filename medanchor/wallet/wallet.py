"""What every wallet offers: a transaction that carries a payload, paid for and ready to be sent."""

from typing import Protocol

from medanchor.core.header import Network


class Wallet(Protocol):
    """Who pays for an anchor. To prepare is not to send: what comes back is kept safe before a `Chain` is handed it."""

    @property
    def network(self) -> Network:
        """The network whose coins it spends."""
        ...

    def prepare(self, payload: bytes) -> bytes:
        """Return a complete transaction (funded, signed, serialised) that carries `payload`, and send nothing.

        Exactly one of its outputs is `core.commitment.anchor_script(payload)`. Until it is sent, the next call may
        spend the same coin again, so a caller that has prepared one either sends that one or forgets it for good.

        Raises WalletError if it cannot be funded or signed.
        """
        ...

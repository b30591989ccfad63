"""The ways to learn of coins, as they are written in the configuration."""

import pytest

from medanchor.errors import UsageError
from medanchor.wallet.errand import Way
from medanchor.wallet.sync import parse_sync

GOOD = {
    "esplora https://esplora.example/api": "the Esplora server at https://esplora.example/api",
    "esplora http://user:word@127.0.0.1:3000/": "the Esplora server at http://127.0.0.1:3000",
    "electrum ssl://electrum.example:50002": "the Electrum server at ssl://electrum.example:50002",
    "electrum ssl://electrum.example": "the Electrum server at ssl://electrum.example:50002",
    "electrum tcp://127.0.0.1": "the Electrum server at tcp://127.0.0.1:50001",
    "electrum tcp://[::1]:1": "the Electrum server at tcp://[::1]:1",
    "peers 127.0.0.1:8333": "the Bitcoin peer 127.0.0.1:8333",
    "peers 127.0.0.1,node.example:1,[2001:db8::1]:2": "the Bitcoin peers 127.0.0.1, node.example:1, [2001:db8::1]:2",
}
BAD = [
    "",
    "esplora",
    "esplora ftp://example",
    "esplora https://",
    "electrum",
    "electrum example:50002",
    "electrum http://example:50002",
    "electrum ssl://example:0x10",
    "electrum ssl://example:65536",
    "electrum ssl://user:word@example:50002",
    "electrum ssl://example:50002 extra",
    "peers",
    "peers ,",
    "peers 127.0.0.1:8333,",
    "peers ssl://127.0.0.1:8333",
    "peers 127.0.0.1:99999",
    "peers a b",
    "bitcoind http://127.0.0.1",
]


@pytest.mark.parametrize(("text", "name"), GOOD.items(), ids=GOOD)
def test_a_way_is_named_without_its_password(text, name):
    assert parse_sync(Way(text)).name == name


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_way_is_told(text):
    with pytest.raises(UsageError) as caught:
        parse_sync(Way(text))
    assert caught.value.hint
    assert "word" not in caught.value.message

"""Header chains: Bitcoin Core's own rules say yes to the honest one, and no to every change."""

import random
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from medanchor.chain import headers as module
from medanchor.chain.blocks import Slot, make_block
from medanchor.chain.embedded import EmbeddedChain
from medanchor.chain.headers import GENESIS, MINIMUM_WORK, HeaderChain, check_headers, network_of, read_headers_file
from medanchor.chain.kernel import opened
from medanchor.core.hashes import sha256d
from medanchor.core.header import Header, Network
from medanchor.errors import ChainError, MalformedProofError, Step, UsageError, VerificationError


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> list[bytes]:
    chain = EmbeddedChain(tmp_path_factory.mktemp("honest") / "chain", now=lambda: 1_790_000_000)
    return [header for header in chain.headers(range(102)) if header]


def after(header: bytes, *, time: int, height: int = 1) -> bytes:
    return make_block(Slot(sha256d(header), height, time))[:80]


def refused(headers: list[bytes], match: str, network: Network = Network.REGTEST) -> None:
    with pytest.raises(VerificationError, match=match) as caught:
        check_headers(headers, network)
    assert caught.value.step is Step.HEADER


class TestAcceptance:
    def test_the_embedded_chain_is_one(self, honest):
        chain = check_headers(honest, Network.REGTEST)
        assert chain == HeaderChain(Network.REGTEST, tuple(honest))
        assert chain.tip_height == 101

    def test_the_genesis_block_alone_is_one(self, honest):
        assert check_headers(honest[:1], Network.REGTEST).tip_height == 0

    def test_it_answers_by_height(self, honest):
        chain = check_headers(honest, Network.REGTEST)
        assert [chain.at(height) for height in (0, 7, 101, 102, -1)] == [honest[0], honest[7], honest[101], None, None]
        with pytest.raises(FrozenInstanceError):
            chain.network = Network.MAINNET

    def test_nothing_is_left_behind_or_printed(self, honest, tmp_path, monkeypatch, capfd):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        check_headers(honest, Network.REGTEST)
        refused([*honest[:50], honest[50][:79] + b"\xff"], "header 50")
        assert list(tmp_path.iterdir()) == []
        assert capfd.readouterr() == ("", "")


class TestRefusal:
    def test_none_at_all(self):
        refused([], "expected header 0 to be the genesis block of regtest")

    def test_another_networks(self, honest):
        for network in (Network.MAINNET, Network.TESTNET3, Network.TESTNET4, Network.SIGNET):
            refused(honest, f"expected header 0 to be the genesis block of {network}", network)

    def test_one_left_out(self, honest):
        refused([*honest[:40], *honest[41:]], "header 40 does not follow header 39")

    def test_one_twice(self, honest):
        refused([*honest[:41], *honest[40:]], "header 41 does not follow header 40")

    def test_two_exchanged(self, honest):
        refused([*honest[:40], honest[41], honest[40], *honest[42:]], "header 40 does not follow header 39")

    def test_a_branch_off_the_line(self, honest):
        sibling = after(honest[39], time=Header.parse(honest[40]).time, height=40)
        refused([*honest[:41], sibling], "header 41 does not follow header 40")

    def test_any_flipped_bit_below_the_last_header(self, honest):
        """Sampled. In the last header of a regtest chain every other flip leaves it as good as it was."""
        chance = random.Random(3)  # noqa: S311 - the same bits on every run
        for _ in range(60):
            height, bit = chance.randrange(20), chance.randrange(640)
            changed = bytearray(honest[height])
            changed[bit // 8] ^= 1 << bit % 8
            refused([*honest[:height], bytes(changed), *honest[height + 1 : 21]], rf"header ({height}|{height + 1}) ")

    def test_a_time_not_above_the_median(self, honest):
        median = Header.parse(honest[34]).time
        refused([*honest[:40], after(honest[39], time=median, height=40)], "header 40 breaks .*timestamp is too early")
        assert (
            check_headers([*honest[:40], after(honest[39], time=median + 1, height=40)], Network.REGTEST).tip_height
            == 40
        )

    def test_a_time_far_ahead(self, honest):
        refused([*honest[:9], after(honest[8], time=(1 << 32) - 1)], "header 9 breaks .*too far in the future")

    def test_another_difficulty(self, honest):
        eased = honest[9][:72] + bytes.fromhex("ffff7f21") + honest[9][76:]
        refused([*honest[:9], eased], "header 9 breaks the rules of regtest")

    def test_an_old_version(self, honest):
        for nonce in range(64):
            old = b"\x01\x00\x00\x00" + honest[9][4:76] + nonce.to_bytes(4, "little")
            if sha256d(old)[31] < 0x7F:
                break
        refused([*honest[:9], old], "header 9 breaks .*nVersion=0x00000001")

    def test_no_header_at_all(self, honest):
        with pytest.raises(MalformedProofError, match="expected a block header of 80 bytes"):
            check_headers([*honest[:5], b"short"], Network.REGTEST)

    def test_too_little_work(self, honest, monkeypatch):
        monkeypatch.setitem(MINIMUM_WORK, Network.REGTEST, 2 * len(honest) + 1)
        refused(honest, r"expected regtest's headers to hold 2\^7 hashes of work or more, found 2\^7")
        monkeypatch.setitem(MINIMUM_WORK, Network.REGTEST, 2 * len(honest))
        assert check_headers(honest, Network.REGTEST).tip_height == 101

    def test_a_mainnet_of_its_genesis_block_alone(self, tmp_path):
        with opened(tmp_path, Network.MAINNET, in_memory=True) as kernel:
            genesis = kernel.header(0)
        refused([genesis], "expected mainnet's headers to hold 2", Network.MAINNET)

    def test_no_place_to_work_in(self, honest, monkeypatch, tmp_path):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
        with pytest.raises(ChainError, match="no temporary directory"):
            check_headers(honest, Network.REGTEST)


@pytest.mark.parametrize("network", Network)
def test_the_minimum_work_is_the_engines(network, tmp_path):
    with opened(tmp_path, network, in_memory=True) as kernel:
        (line,) = [line for line in kernel._log if "nMinimumChainWork=" in line]
    assert MINIMUM_WORK[network] == int(line.partition("=")[2], 16)


@pytest.mark.parametrize("network", Network)
def test_a_network_is_known_by_its_genesis_block(network, tmp_path):
    with opened(tmp_path / network.value, network, in_memory=True) as kernel:
        assert network_of([kernel.header(0)]) is network


def test_headers_of_no_network_are_refused(honest):
    assert sorted(GENESIS.values()) == sorted(Network)
    for headers in ([], honest[1:], [bytes(80)]):
        with pytest.raises(VerificationError, match="genesis block of a Bitcoin network"):
            network_of(headers)


class TestFile:
    def test_it_is_read_back(self, honest, tmp_path):
        file = tmp_path / "headers.bin"
        file.write_bytes(b"".join(honest))
        assert read_headers_file(file) == honest

    def test_an_empty_one_holds_none(self, tmp_path):
        (tmp_path / "headers.bin").touch()
        assert read_headers_file(tmp_path / "headers.bin") == []

    @pytest.mark.parametrize("size", [1, 79, 81, 161])
    def test_one_with_a_piece_too_much_is_refused(self, tmp_path, size):
        (tmp_path / "headers.bin").write_bytes(bytes(size))
        with pytest.raises(MalformedProofError, match=f"expected headers of 80 bytes .*, found {size} bytes"):
            read_headers_file(tmp_path / "headers.bin")

    def test_a_missing_one_is_named(self, tmp_path: Path):
        with pytest.raises(UsageError, match=r"cannot read the headers in .*: no such file"):
            read_headers_file(tmp_path / "headers.bin")


def test_importing_it_imports_no_engine():
    script = f"import sys, {module.__name__}; sys.exit('pbk' in sys.modules)"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-S", "-c", script], check=False, env=environment).returncode == 0

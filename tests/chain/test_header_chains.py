"""Header chains: Bitcoin Core's own rules say yes to the honest one, and no to every change."""

import random
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest
from headerchains import mainnet_rival, on_top, real, regtest

from medanchor.chain import headers as module
from medanchor.chain.embedded import EmbeddedChain
from medanchor.chain.headers import (
    KNOWN_BLOCK,
    MINIMUM_WORK,
    HeaderChain,
    Picker,
    bits_of,
    check_headers,
    hashes_of,
    in_line,
    network_of,
    work_of,
)
from medanchor.chain.kernel import opened
from medanchor.core.hashes import display, sha256d
from medanchor.core.header import GENESIS, Header, Network
from medanchor.errors import ChainError, MalformedProofError, Step, VerificationError


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> list[bytes]:
    chain = EmbeddedChain(tmp_path_factory.mktemp("honest") / "chain", now=lambda: 1_790_000_000)
    return [header for header in chain.headers(range(102)) if header]


def check(headers: list[bytes], network: Network = Network.REGTEST, heights=(), **options) -> HeaderChain:
    return check_headers([b"".join(headers)], network, heights, **options)


def refused(headers: list[bytes], match: str, network: Network = Network.REGTEST) -> VerificationError:
    with pytest.raises(VerificationError, match=match) as caught:
        check(headers, network)
    assert caught.value.step is Step.HEADER
    return caught.value


@pytest.fixture
def believing(monkeypatch):
    """Take mainnet's rules alone, so that a chain with less work than mainnet's passes."""
    monkeypatch.setitem(MINIMUM_WORK, Network.MAINNET, 0)
    monkeypatch.delitem(KNOWN_BLOCK, Network.MAINNET)


class TestAcceptance:
    def test_the_embedded_chain_is_one(self, honest):
        chain = check(honest, heights=(0, 7, 101))
        kept = {height: honest[height] for height in (0, 7, 101)}
        assert chain == HeaderChain(Network.REGTEST, 101, sha256d(honest[101]), kept)

    def test_the_genesis_block_alone_is_one(self, honest):
        assert check(honest[:1]).height == 0

    @pytest.mark.parametrize("size", [1, 2, 50, 101, 102])
    def test_however_it_is_cut(self, honest, size):
        chunks = [b"".join(honest[at : at + size]) for at in range(0, len(honest), size)]
        assert check_headers(chunks, Network.REGTEST, range(200)) == check(honest, heights=range(102))

    def test_it_answers_by_height(self, honest):
        chain = check(honest, heights=(0, 7, 101, 102, 1 << 62))
        assert [chain.at(height) for height in (0, 7, 101, 102, -1)] == [honest[0], honest[7], honest[101], None, None]
        with pytest.raises(FrozenInstanceError):
            chain.network = Network.MAINNET

    def test_a_height_that_was_not_asked_for_is_no_answer(self, honest):
        """None would mean that the chain ends below it."""
        with pytest.raises(KeyError):
            check(honest, heights=(1,)).at(2)

    def test_progress_tells_of_each_header_once(self, honest):
        told = []
        check_headers([b"".join(honest[:50]), b"".join(honest[50:])], Network.REGTEST, progress=told.append)
        assert sum(told) == 101

    @pytest.mark.usefixtures("believing")
    def test_real_work_on_mainnets_rules(self):
        """Through the engine, across a change of difficulty."""
        chain = check(mainnet_rival(), Network.MAINNET, [2016])
        assert (chain.height, chain.at(2016)) == (2016, mainnet_rival()[2016])

    def test_nothing_is_left_behind_or_printed(self, honest, tmp_path, monkeypatch, capfd):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        check(honest)
        refused(mainnet_rival()[:9], "expected mainnet's headers to hold", Network.MAINNET)
        refused([*mainnet_rival()[:9], mainnet_rival()[9][:79] + b"\xff"], "header 9", Network.MAINNET)
        assert list(tmp_path.iterdir()) == []
        assert capfd.readouterr() == ("", "")


class TestRefusal:
    def test_none_at_all(self):
        refused([], "expected header 0 to be the genesis block of regtest")
        with pytest.raises(VerificationError, match="genesis block"):
            check_headers([], Network.REGTEST)

    def test_another_networks(self, honest):
        for network in (Network.MAINNET, Network.TESTNET3, Network.TESTNET4, Network.SIGNET):
            refused(honest, f"expected header 0 to be the genesis block of {network}", network)

    def test_one_left_out(self, honest):
        refused([*honest[:40], *honest[41:]], "header 40 does not follow header 39")

    def test_one_left_out_between_two_chunks(self, honest):
        with pytest.raises(VerificationError, match="header 40 does not follow header 39"):
            check_headers([b"".join(honest[:40]), b"".join(honest[41:])], Network.REGTEST)

    def test_one_twice(self, honest):
        refused([*honest[:41], *honest[40:]], "header 41 does not follow header 40")

    def test_two_exchanged(self, honest):
        refused([*honest[:40], honest[41], honest[40], *honest[42:]], "header 40 does not follow header 39")

    def test_a_branch_off_the_line(self, honest):
        refused([*honest[:41], on_top(honest[39])], "header 41 does not follow header 40")

    def test_the_lowest_fault_is_told(self, honest):
        """A rule that is broken below a gap goes before the gap, though it takes the engine longer to say so."""
        early = [*honest[:30], on_top(honest[29], seconds=-90_000)]
        refused([*early, *honest[41:]], "header 30 breaks the rules of regtest: block's timestamp is too early")
        rival = mainnet_rival()
        rushed = rival[5][:68] + rival[0][68:72] + rival[5][72:]
        refused([*rival[:5], rushed, *rival[50:60]], "header 5 breaks the rules of mainnet", Network.MAINNET)

    @pytest.mark.parametrize("network", [Network.REGTEST, Network.MAINNET])
    def test_after_a_refusal_no_more_is_read(self, network):
        """But for what is on its way to the engine by then."""
        headers = regtest(20) if network is Network.REGTEST else mainnet_rival()[:20]
        late = headers[9][:68] + headers[0][68:72] + headers[9][72:]
        read = []

        def chunks():
            yield b"".join([*headers[:9], late])
            for at in range(10_000):
                read.append(at)
                yield mined_on(late if not at else last[0])

        last = [late]

        def mined_on(header: bytes) -> bytes:
            last[0] = header[:4] + sha256d(header) + header[36:]
            return last[0]

        with pytest.raises(VerificationError, match="header 9 breaks"):
            check_headers(chunks(), network)
        assert len(read) < (1 if network is Network.REGTEST else 10_000)

    def test_any_flipped_bit_below_the_last_header(self, honest):
        """One in each byte. In the last header of a regtest chain every other flip leaves it as good as it was."""
        chance = random.Random(3)  # noqa: S311 - the same bits on every run
        for place in range(80 * 60):
            height, byte = divmod(place, 80)
            changed = bytearray(b"".join(honest[height : height + 2]))
            changed[byte] ^= 1 << chance.randrange(8)
            with pytest.raises(VerificationError, match=rf"header ({height}|{height + 1}) "):
                check_headers(
                    [b"".join(honest[:height]), bytes(changed)] if height else [bytes(changed)], Network.REGTEST
                )

    def test_any_flipped_bit_where_headers_cost_work(self, tmp_path):
        """One in each byte of three hundred headers; the engine alone sees every one of them."""
        chance, rival = random.Random(4), mainnet_rival()  # noqa: S311 - as above
        with opened(tmp_path, Network.MAINNET, in_memory=True) as kernel:
            for height in range(1, 301):
                for byte in range(80):
                    changed = bytearray(rival[height])
                    changed[byte] ^= 1 << chance.randrange(8)
                    assert kernel.offer_headers(bytes(changed)) is not None, (height, byte)
                assert kernel.offer_headers(rival[height]) is None

    def test_a_time_far_ahead(self, honest):
        error = refused([*honest[:9], on_top(honest[8], seconds=1 << 30)], "header 9 breaks .*too far in the future")
        assert error.hint is not None
        assert "clock" in error.hint

    @pytest.mark.parametrize("size", [1, 79, 81])
    def test_a_piece_of_a_header(self, honest, size):
        with pytest.raises(MalformedProofError, match="expected headers of 80 bytes"):
            check_headers([b"".join(honest), bytes(size)], Network.REGTEST)

    def test_the_difficulty_that_should_have_risen(self):
        eased = bytearray(mainnet_rival()[2016])
        eased[72:76] = bytes.fromhex("ffff001d")
        refused([*mainnet_rival()[:2016], bytes(eased)], "header 2016 breaks the rules of mainnet", Network.MAINNET)

    def test_a_rival_of_mainnet_that_obeys_every_rule(self):
        error = refused(mainnet_rival(), r"hold 2\^96 hashes of work or more, found 2\^42", Network.MAINNET)
        assert error.hint is not None
        assert "deceive" in error.hint

    def test_enough_work_and_yet_another_chain(self, monkeypatch):
        monkeypatch.setitem(MINIMUM_WORK, Network.MAINNET, 0)
        known = KNOWN_BLOCK[Network.MAINNET]
        refused(mainnet_rival()[:30], f"to hold the block {known}, found another chain", Network.MAINNET)
        monkeypatch.setitem(KNOWN_BLOCK, Network.MAINNET, display(sha256d(mainnet_rival()[20])))
        assert check(mainnet_rival()[:30], Network.MAINNET).height == 29
        refused(mainnet_rival()[:20], "found another chain", Network.MAINNET)

    def test_the_least_work_is_enough(self, honest, monkeypatch):
        monkeypatch.setitem(MINIMUM_WORK, Network.REGTEST, 2 * len(honest) + 1)
        refused(honest, r"expected regtest's headers to hold 2\^7 hashes of work or more, found 2\^7")
        monkeypatch.setitem(MINIMUM_WORK, Network.REGTEST, 2 * len(honest))
        assert check(honest).height == 101

    def test_no_place_to_work_in(self, monkeypatch, tmp_path):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
        with pytest.raises(ChainError, match="headers cannot be checked: no such file"):
            check(mainnet_rival()[:9], Network.MAINNET)


@pytest.mark.parametrize("network", sorted(real()))
def test_the_first_real_headers_obey(network, monkeypatch):
    monkeypatch.setitem(MINIMUM_WORK, network, 0)
    monkeypatch.delitem(KNOWN_BLOCK, network)
    headers = real()[network]
    assert check(headers, network).tip == sha256d(headers[-1])
    for bit in random.Random(network).sample(range(640 * len(headers)), 3):  # noqa: S311 - as above
        changed = bytearray(b"".join(headers))
        changed[bit // 8] ^= 1 << bit % 8
        refused([bytes(changed)], "header ", network)


@pytest.mark.parametrize("network", Network)
def test_what_is_known_of_a_network_is_the_engines(network, tmp_path):
    with opened(tmp_path, network, in_memory=True) as kernel:
        lines = list(kernel._log)
        genesis = kernel.header(0)
    (work,) = [line for line in lines if "nMinimumChainWork=" in line]
    assert MINIMUM_WORK[network] == int(work.partition("=")[2], 16)
    assumed = [line for line in lines if "Assuming ancestors of block" in line]
    assert [KNOWN_BLOCK.get(network)] * len(assumed) == [line.split("block ")[1].split()[0] for line in assumed]
    assert bool(assumed) == (network in KNOWN_BLOCK)
    assert network_of(genesis) is network


def test_headers_of_no_network_are_refused(honest):
    assert sorted(GENESIS.values()) == sorted(Network)
    for header in (b"", honest[1], bytes(80)):
        with pytest.raises(VerificationError, match="genesis block of a Bitcoin network"):
            network_of(header)


class TestParts:
    def test_hashes_and_difficulties_are_the_parsers(self, honest):
        headers = [Header.parse(raw) for raw in honest]
        assert hashes_of(b"".join(honest)) == [header.block_hash for header in headers]
        assert bits_of(b"".join(honest)) == [header.bits for header in headers]

    def test_work_is_the_expected_number_of_hashes(self):
        assert work_of({0x207FFFFF: 3}) == 6
        assert work_of({0x1D00FFFF: 1, 0x207FFFFF: 1}) == 0x100010001 + 2
        assert work_of({}) == 0

    def test_how_many_follow_in_line(self, honest):
        chunk, tip = b"".join(honest[3:9]), sha256d(honest[2])
        assert in_line(chunk, tip, hashes_of(chunk)) == 6
        assert in_line(chunk, bytes(32), hashes_of(chunk)) == 0
        gap = chunk[:160] + chunk[240:]
        assert in_line(gap, tip, hashes_of(gap)) == 2

    def test_picking(self):
        picker = Picker([9, 0, 5, 5, 4, 100])
        for first in (0, 3, 6):
            picker.see(b"".join(bytes([height]) * 80 for height in range(first, first + 3)))
        assert picker.picked == {height: bytes([height]) * 80 for height in (0, 4, 5)}


def test_a_longer_chain_of_this_tests_making():
    headers = regtest(300)
    assert check(headers).height == 299


def test_importing_it_imports_no_engine():
    script = f"import sys, {module.__name__}; sys.exit('pbk' in sys.modules)"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-S", "-c", script], check=False, env=environment).returncode == 0

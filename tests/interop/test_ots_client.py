"""The genuine `ots` client judges what is exported, against the embedded chain: only this file, only this chain."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from header_node import HeaderNode
from transcript import run
from world import surroundings

from medanchor.chain.embedded import EmbeddedChain
from medanchor.core.header import HEADER_LENGTH

OTS = Path(sys.executable).with_name("ots")
VECTORS = Path(__file__).parents[1] / "vectors" / "proofs" / "v1"


def chain_in(directory):
    return EmbeddedChain(directory, now=lambda: int(time.time()), confirmations=1)


def headers_of(chain):
    return chain.headers(range(chain.tip().height + 1))


@pytest.fixture(scope="module")
def clinic(anchored, tmp_path_factory):
    """A copy of the anchored world that may be changed, with an .ots beside every record."""
    root = tmp_path_factory.mktemp("clinic")
    for name in ("visit", "vault"):
        shutil.copytree(anchored.root / name, root / name)
    environment = surroundings(root) | {"MEDANCHOR_VAULT": str(root / "vault")}
    done = run("proof", "export", str(root / "visit"), "--ots", env=environment)
    assert (done.code, done.out) == (0, "3 proofs written, 3 of them as .ots too\n")
    return root


@pytest.fixture(scope="module")
def headers(clinic):
    return headers_of(chain_in(clinic / "vault" / "chain"))


def ots(home, url, *arguments):
    """What the client says, its own network (calendars) out of reach: nothing here asks one."""
    command = [OTS, "--no-cache", "--no-default-whitelist", "--btc-regtest", "--bitcoin-node", url, *arguments]
    done = subprocess.run(command, env=surroundings(home), capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_the_client_finds_the_record_by_its_own_name_and_accepts_it(clinic, headers, tmp_path):
    with HeaderNode(lambda: headers) as node:
        for name in ("image.dcm", "letter.txt", "results.hl7"):
            code, told = ots(tmp_path, node.address, "verify", clinic / "visit" / f"{name}.ots")
            assert code == 0, told
            assert "Success! Bitcoin block 102 attests existence as of" in told
    assert set(node.calls) == {"getblockcount", "getblockhash", "getblockheader"}


def test_another_record_is_refused(clinic, headers, tmp_path):
    with HeaderNode(lambda: headers) as node:
        file = clinic / "visit" / "letter.txt.ots"
        assert ots(tmp_path, node.address, "verify", "-f", clinic / "visit" / "letter.txt", file)[0] == 0
        code, told = ots(tmp_path, node.address, "verify", "-f", clinic / "visit" / "image.dcm", file)
    assert code == 1
    assert "File does not match original!" in told


def test_one_byte_of_the_record_is_seen(clinic, headers, tmp_path):
    changed = tmp_path / "letter.txt"
    changed.write_bytes((clinic / "visit" / "letter.txt").read_bytes().replace(b"well", b"weld"))
    with HeaderNode(lambda: headers) as node:
        assert ots(tmp_path, node.address, "verify", "-f", changed, clinic / "visit" / "letter.txt.ots")[0] == 1


def test_another_chain_is_refused(clinic, tmp_path):
    other = chain_in(tmp_path / "chain")
    other.mine(10)
    elsewhere = headers_of(other)
    with HeaderNode(lambda: elsewhere) as node:
        code, told = ots(tmp_path, node.address, "verify", clinic / "visit" / "letter.txt.ots")
    assert code == 1
    assert "Digest does not match merkleroot" in told


def test_a_chain_that_ends_below_the_block_is_refused(clinic, headers, tmp_path):
    with HeaderNode(lambda: headers[:102]) as node:
        code, told = ots(tmp_path, node.address, "verify", clinic / "visit" / "letter.txt.ots")
    assert code == 1
    assert "Bitcoin block height 102 not found; 101 is highest known block" in told


def test_a_reorganised_block_is_refused_until_it_is_exported_again(clinic, tmp_path):
    world = tmp_path / "clinic"
    shutil.copytree(clinic, world)
    chain, record = chain_in(world / "vault" / "chain"), world / "visit" / "letter.txt"
    environment = surroundings(world) | {"MEDANCHOR_VAULT": str(world / "vault")}
    export = ("proof", "export", str(record), "--ots", "--force")
    with HeaderNode(lambda: headers_of(chain)) as node:
        verify = (tmp_path, node.address, "verify", f"{record}.ots")
        assert ots(*verify)[0] == 0
        chain.reorg(6)
        assert ots(*verify)[0] == 1
        assert run(*export, env=environment).code == 3  # its .ots is not replaced before there is a block again
        assert run("anchor", env=environment).code == 0
        assert run(*export, env=environment).code == 0
        assert ots(*verify)[0] == 0


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.ots")), ids=lambda path: path.stem)
def test_the_frozen_ones_are_accepted_too(path, tmp_path):
    """Against a node that knows nothing but the block they name."""
    from medanchor.core.proof import parse_proof

    block = parse_proof(path.with_suffix(".medproof").read_bytes()).anchor.block
    headers = [bytes(HEADER_LENGTH)] * block.height + [block.header]
    with HeaderNode(lambda: headers) as node:
        assert ots(tmp_path, node.address, "verify", path)[0] == 0


def test_the_client_shows_what_we_show(tmp_path):
    """`ots info` and ours: the same digest, the same height, the same Merkle root."""
    code, told = ots(tmp_path, "http://a:b@127.0.0.1:9", "info", VECTORS / "three-levels.bin.ots")
    shown = run("proof", "inspect", str(VECTORS / "three-levels.bin.ots"), "--json")
    assert (code, shown.code) == (0, 0)
    assert f"File sha256 hash: {shown.json['raw']}" in told
    assert f"verify BitcoinBlockHeaderAttestation({shown.json['blocks'][0]['height']})" in told
    assert f"# Bitcoin block merkle root {shown.json['blocks'][0]['merkle_root']}" in told

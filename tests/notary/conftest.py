"""One vault and one young chain, made once and copied for each test that changes them."""

import shutil
import time

import pytest
from desk import Desk
from vaulted import make_vault

from medanchor.chain.embedded import EmbeddedChain
from medanchor.notary.vaults import CHAIN


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A vault with nothing in it, and its chain, 101 blocks high."""
    vault = make_vault(tmp_path_factory.mktemp("template") / "vault")
    EmbeddedChain(vault / CHAIN, now=lambda: int(time.time())).create()
    return vault


@pytest.fixture
def desk(template, tmp_path):
    """A notary's desk of its own: a vault, a chain, and a folder with three records."""
    shutil.copytree(template, tmp_path / "vault")
    with Desk(tmp_path / "vault", tmp_path / "records") as ready:
        for name in ("image", "letter", "results"):
            ready.write(name, name.encode())
        yield ready

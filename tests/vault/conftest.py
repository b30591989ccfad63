import pytest
from vaulted import make_vault

from medanchor.vault.store import Store


@pytest.fixture
def vault(tmp_path):
    """The directory of a new vault on regtest with one key, `default`."""
    return make_vault(tmp_path / "vault")


@pytest.fixture
def store(vault):
    """The new vault, open."""
    with Store(vault) as opened:
        yield opened

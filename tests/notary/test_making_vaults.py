"""Making a vault: whole or not at all, and never over anything."""

import os

import pytest
from vaulted import make_vault

from medanchor.core.header import Network
from medanchor.errors import UsageError, VaultError
from medanchor.notary import vaults
from medanchor.notary.vaults import NewVault, create_vault, new_origin
from medanchor.vault.config import read_config
from medanchor.vault.keys import list_keys
from medanchor.vault.store import Store


def new(origin="clinic.example/ward-7", key="default"):
    return NewVault(origin, Network.TESTNET4, key, "Dr A. Example", "", None)


def test_a_new_vault_has_all_it_needs(tmp_path):
    create_vault(tmp_path / "above" / "vault", new(key="dr-example"))
    with Store(tmp_path / "above" / "vault") as store:
        assert (store.origin, store.network, store.size()) == ("clinic.example/ward-7", Network.TESTNET4, 0)
    assert list_keys(tmp_path / "above" / "vault") == ["dr-example"]
    assert read_config(tmp_path / "above" / "vault", {}).key == "dr-example"
    assert [path.name for path in (tmp_path / "above").iterdir()] == ["vault"]


def test_an_empty_folder_may_become_a_vault(tmp_path):
    (tmp_path / "vault").mkdir(mode=0o755)
    create_vault(tmp_path / "vault", new())
    assert (tmp_path / "vault").stat().st_mode & 0o777 == 0o700


def test_a_vault_is_never_made_over_a_vault(tmp_path):
    make_vault(tmp_path / "vault")
    with pytest.raises(VaultError, match="there is a vault in"):
        create_vault(tmp_path / "vault", new("clinic.example/other"))
    with Store(tmp_path / "vault") as store:
        assert store.origin == "clinic.example/ward-7"


def test_a_vault_is_never_made_over_anything_else(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "letter").write_bytes(b"mine")
    (tmp_path / "file").write_bytes(b"mine")
    for name in ("folder", "file", "file/below"):
        with pytest.raises(VaultError):
            create_vault(tmp_path / name, new())
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "letter"]


@pytest.mark.parametrize("origin", ["", "a b", "a\nb", "é", "a+b", "x" * 256])
def test_an_origin_that_no_checkpoint_can_name_is_refused(tmp_path, origin):
    with pytest.raises(UsageError):
        create_vault(tmp_path / "vault", new(origin))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["create_key", "write_config"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_step_that_fails_leaves_nothing(tmp_path, monkeypatch, step, error):
    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(vaults, step, fail)
    with pytest.raises((VaultError, KeyboardInterrupt)):
        create_vault(tmp_path / "vault", new())
    assert list(tmp_path.iterdir()) == []


def test_a_vault_with_a_name_like_a_drafts_survives_whatever_is_made_beside_it(tmp_path):
    """Idle for longer than any draft is written for, it used to be taken for one that a killed run had left."""
    clinic = make_vault(tmp_path / ".medanchor-clinic")
    os.utime(clinic, (0, 0))
    make_vault(tmp_path / "other")
    with Store(clinic) as store:
        assert store.size() == 0


def test_runs_of_one_process_number_do_not_meet(tmp_path, monkeypatch):
    """In containers everything is process 1; the draft of one may not be that of another."""
    drafts = []

    def fill(draft, _new):
        drafts.append(draft)
        if len(drafts) == 1:
            create_vault(tmp_path / "inner", new())
        draft.mkdir()

    monkeypatch.setattr(vaults, "_fill", fill)
    create_vault(tmp_path / "outer", new())
    assert len(set(drafts)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner", "outer"]


def test_a_draft_that_a_killed_run_left_is_swept_by_a_later_one(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(vaults.shutil, "rmtree", lambda *_arguments, **_options: None)
        patch.setattr(vaults, "write_config", None)
        with pytest.raises(TypeError):
            create_vault(tmp_path / "first", new())
    (draft,) = tmp_path.iterdir()
    os.utime(draft, (0, 0))
    create_vault(tmp_path / "second", new())
    assert [path.name for path in tmp_path.iterdir()] == ["second"]


def test_origins_are_nobody_elses_and_say_nothing():
    origins = {new_origin() for _ in range(100)}
    assert len(origins) == 100
    assert all(origin.startswith("medanchor.local/") for origin in origins)

"""Preferences: the environment goes over the file, and nothing unknown or senseless passes."""

import pytest

from medanchor.errors import MedanchorError, UsageError, VaultError
from medanchor.vault.config import CONFIG, Config, read_config, write_config

WRITTEN = Config(key="dr-example", meaning="review", confirmations=3)


def test_what_is_written_is_read(tmp_path):
    write_config(tmp_path, WRITTEN)
    assert read_config(tmp_path, {}) == WRITTEN
    assert (tmp_path / CONFIG).stat().st_mode & 0o777 == 0o600


def test_every_preference_survives_being_written(tmp_path):
    chosen = Config(
        key="dr-example",
        node="http://user:pa%22ss@127.0.0.1:48332",
        node_cookie="/home/a \\ b/.cookie",
        esplora="https://host/api",
        wallet="core two words",
        wallet_sync="peers 127.0.0.1:48333",
        confirm_target=2,
        bump_after=3,
        max_fee_rate=7,
        max_fee=900,
        bitcoin_price="90000.50 EUR",
    )
    write_config(tmp_path, chosen)
    assert read_config(tmp_path, {}) == chosen


def test_without_a_file_the_defaults_hold(tmp_path):
    assert read_config(tmp_path, {}) == Config(key="", meaning="authorship", confirmations=6)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("MEDANCHOR_KEY", "other", Config("other", "review", 3)),
        ("MEDANCHOR_MEANING", "approval", Config("dr-example", "approval", 3)),
        ("MEDANCHOR_CONFIRMATIONS", "100", Config("dr-example", "review", 100)),
        ("MEDANCHOR_CONFIRMATIONS", "0007", Config("dr-example", "review", 7)),
        ("MEDANCHOR_CONFIRMATIONS", "0" * 5000 + "7", Config("dr-example", "review", 7)),
        ("MEDANCHOR_CONFIRMATIONS", "", WRITTEN),
        ("MEDANCHOR_VAULT", "/somewhere", WRITTEN),
        ("KEY", "other", WRITTEN),
    ],
)
def test_the_environment_goes_over_the_file(tmp_path, variable, value, expected):
    write_config(tmp_path, WRITTEN)
    assert read_config(tmp_path, {variable: value}) == expected


@pytest.mark.parametrize("value", ["0", "101", "-1", "six", "6.0", " 6", "1e1", "²", "٦", "0" * 50, "9" * 5000])
def test_confirmations_from_the_environment_that_make_no_sense_are_refused_and_blamed_on_it(tmp_path, value):
    write_config(tmp_path, WRITTEN)
    with pytest.raises(VaultError, match=r"^MEDANCHOR_CONFIRMATIONS in the environment: expected confirmations "):
        read_config(tmp_path, {"MEDANCHOR_CONFIRMATIONS": value})


def test_the_file_is_blamed_for_what_is_its_own(tmp_path):
    (tmp_path / CONFIG).write_text("confirmations = 500")
    with pytest.raises(VaultError, match=r"config.toml: expected confirmations from 1 to 100, found 500"):
        read_config(tmp_path, {"MEDANCHOR_MEANING": "review"})
    assert read_config(tmp_path, {"MEDANCHOR_CONFIRMATIONS": "5"}).confirmations == 5


def test_the_template_says_what_confirmations_are(tmp_path):
    write_config(tmp_path, WRITTEN)
    assert "whose headers it keeps" in (tmp_path / CONFIG).read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('kee = "x"', "an unknown entry: kee"),
        ("[table]\nx = 1", "an unknown entry: table"),
        ("key = 7", "expected key to be text in quotes"),
        ("confirmations = true", "expected confirmations to be a whole number"),
        ('confirmations = "6"', "expected confirmations to be a whole number"),
        ("confirmations = 6.0", "expected confirmations to be a whole number"),
        ("confirmations = 0", "expected confirmations from 1 to 100, found 0"),
        ("confirmations = 101", "expected confirmations from 1 to 100, found 101"),
        ('meaning = ["authorship"]', "expected meaning to be text in quotes"),
        ("max_fee = 199", "expected max_fee from 200 to 10,000,000, found 199"),
        ("max_fee_rate = 0", "expected max_fee_rate from 1 to 10,000, found 0"),
        ("confirm_target = 1009", "expected confirm_target from 1 to 1,008, found 1009"),
        ('wallet = "core"', 'expected wallet to be "core NAME" or "own"'),
        ('wallet = "core "', 'expected wallet to be "core NAME" or "own"'),
        ('wallet_sync = "https://host"', "expected wallet_sync to be"),
        ('node = "127.0.0.1:8332"', "expected node to be an address such as http://127.0.0.1:8332"),
        ('esplora = "host/api"', "expected esplora to be an address such as https://HOST/api"),
        ('bitcoin_price = "EUR 90000"', 'expected bitcoin_price to be such as "90000 EUR"'),
        ("key = ", "cannot be read"),
        ('key = "a"\nkey = "b"', "cannot be read"),
        ("confirmations = " + "9" * 5000, "cannot be read"),
        ("key = " + "[" * 5000, "cannot be read"),
    ],
    ids=lambda value: value[:24] if len(value) > 60 else None,
)
def test_a_file_that_makes_no_sense_is_refused_with_its_name(tmp_path, text, told):
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(VaultError, match=told) as caught:
        read_config(tmp_path, {})
    assert CONFIG in caught.value.message


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / CONFIG).write_bytes(b'key = "\xff"')
    with pytest.raises(VaultError, match="cannot be read"):
        read_config(tmp_path, {})


def test_a_directory_in_its_place_is_told(tmp_path):
    (tmp_path / CONFIG).mkdir()
    with pytest.raises(VaultError, match="cannot be read"):
        read_config(tmp_path, {})


@pytest.mark.parametrize("meaning", ["", "Authorship", "ownership"])
def test_a_meaning_that_the_regulation_does_not_know_is_refused(tmp_path, meaning):
    (tmp_path / CONFIG).write_text(f'meaning = "{meaning}"')
    with pytest.raises(UsageError, match="expected a meaning out of authorship") as caught:
        read_config(tmp_path, {})
    assert isinstance(caught.value, MedanchorError)

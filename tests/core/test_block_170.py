"""A real block: mainnet's 170, with the first bitcoins paid to somebody. Its bytes vouch for themselves: they hash."""

import pytest

from medanchor.core.hashes import display, from_display
from medanchor.core.header import Header, Network, check_proof_of_work, root_from_branch
from medanchor.core.transaction import txid
from medanchor.errors import VerificationError

HEADER = bytes.fromhex(
    "0100000055bd840a78798ad0da853f68974f3d183e2bd1db6a842c1feecf222a00000000ff104ccb05421ab93e63f8c3ce5c2c2e9dbb37de27"
    "64b3a3175c8166562cac7d51b96a49ffff001d283e9e70"
)
HASH = "00000000d1145790a8694403d4063f323d499e655c83426834d4ce2f8dd4a2ee"
COINBASE = "b1fea52486ce0c62bb442b530a3f0132b826c74e473d1f2c220bfa78111c5082"
PAYMENT = bytes.fromhex(
    "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8af514961"
    "a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221a8768d1d0901"
    "ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df"
    "5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1"
    "482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000"
)


def test_the_payment_is_in_the_block():
    header = Header.parse(HEADER)
    assert display(header.block_hash) == HASH
    assert display(txid(PAYMENT)) == "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"
    assert root_from_branch(txid(PAYMENT), 1, (from_display(COINBASE),)) == header.merkle_root
    assert root_from_branch(from_display(COINBASE), 0, (txid(PAYMENT),)) == header.merkle_root
    check_proof_of_work(header, Network.MAINNET)


@pytest.mark.parametrize("place", range(80))
def test_no_bit_of_the_header_can_be_another(place):
    for bit in range(8):
        altered = HEADER[:place] + bytes([HEADER[place] ^ 1 << bit]) + HEADER[place + 1 :]
        with pytest.raises(VerificationError):
            check_proof_of_work(Header.parse(altered), Network.MAINNET)


@pytest.mark.parametrize("place", range(0, len(PAYMENT), 7))
def test_no_bit_of_the_payment_can_be_another(place):
    altered = PAYMENT[:place] + bytes([PAYMENT[place] ^ 1]) + PAYMENT[place + 1 :]
    assert root_from_branch(txid(altered), 1, (from_display(COINBASE),)) != Header.parse(HEADER).merkle_root

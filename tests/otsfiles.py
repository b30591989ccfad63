"""OpenTimestamps files made by hand, byte by byte, from what is known of the format: no library has a part in it."""

from medanchor.core.hashes import sha256

MAGIC = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94"
SHA1, RIPEMD160, SHA256, KECCAK256 = b"\x02", b"\x03", b"\x08", b"\x67"
REVERSE, HEXLIFY = b"\xf2", b"\xf3"
BITCOIN, LITECOIN, ETHEREUM, PENDING, UNKNOWN = map(
    bytes.fromhex, ("0588960d73d71901", "06869a0d73d71b45", "30fe8087b5c7ead7", "83dfe30d2ef90c8e", "00" * 7 + "ff")
)
RECORD = b"a record, stamped by somebody\n"
DIGEST = sha256(RECORD)


def number(value: int) -> bytes:
    low = b""
    while value > 127:
        low += bytes([value & 127 | 128])
        value >>= 7
    return low + bytes([value])


def text(data: bytes) -> bytes:
    return number(len(data)) + data


def append(data: bytes) -> bytes:
    return b"\xf0" + text(data)


def prepend(data: bytes) -> bytes:
    return b"\xf1" + text(data)


def attest(tag: bytes, payload: bytes) -> bytes:
    return b"\x00" + tag + text(payload)


def bitcoin(height: int) -> bytes:
    return attest(BITCOIN, number(height))


def pending(uri: str) -> bytes:
    return attest(PENDING, text(uri.encode()))


def fork(*lines: bytes) -> bytes:
    return b"".join(b"\xff" + line for line in lines[:-1]) + lines[-1]


def ots(*body: bytes, digest: bytes = DIGEST, operation: bytes = SHA256, version: bytes = b"\x01") -> bytes:
    return MAGIC + version + operation + digest + b"".join(body)


TRANSACTION = bytes.fromhex(
    "0100000001e482f9d32ecc3ba657b69d898010857b54457a90497982ff56f97c4ec58e6f98010000006b483045022100b253add1d1cf9084"
    "4338a475a04ff13fc9e7bd242b07762dea07f5608b2de367022000b268ca9c3342b3769cdd062891317cdcef87aac310b6855e9d93898ebb"
    "e8ec0121020d8e4d107d2b339b0050efdd4b4a09245aa056048f125396374ea6a2ab0709c6ffffffff026533e605000000001976a9140bf0"
    "57d40fbba6744862515f5b55a2310de5772f88aca0860100000000001976a914"
)
"""7e9f0f7d...cb2ec in mainnet's block 358391, up to where the RIPEMD-160 of a digest stands for a key's."""

BRANCH = (
    (prepend, "a987f716c533913c314c78e35d35884cac943fa42cac49d2b2c69f4003f85f88"),
    (prepend, "dec55b3487e1e3f722a49b55a7783215862785f4a3acb392846019f71dc64a9d"),
    (prepend, "b2ca18f485e080478e025dab3d464b416c0e1ecb6629c9aefce8c8214d042432"),
    (append, "11b0e90661196ff4b0813c3eda141bab5e91604837bdf7a0c9df37db0e3a1198"),
    (append, "c34bc1a4a1093ffd148c016b1e664742914e939efabe4d3d356515914b26d9e2"),
    (append, "c3e6e7c38c69f6af24c2be34ebac48257ede61ec0a21b9535e4443277be30646"),
    (prepend, "0798bf8606e00024e5d5d54bf0c960f629dfb9dad69157455b6f2652c0e8de81"),
    (append, "3f9ada6d60baa244006bb0aad51448ad2fafb9d4b6487a0999cff26b91f0f536"),
    (prepend, "c703019e959a8dd3faef7489bb328ba485574758e7091f01464eb65872c975c8"),
    (append, "cbfefff513ff84b915e3fed6f9d799676630f8364ea2a6c7557fad94a5b5d788"),
    (prepend, "0be23709859913babd4460bbddf8ed213e7c8773a4b1face30f8acfdf093b705"),
)
"""That transaction's siblings in its block, from itself up."""

HELLO_WORLD = ots(
    RIPEMD160 + prepend(TRANSACTION) + append(bytes.fromhex("88ac00000000")) + SHA256 * 2,
    b"".join(side(bytes.fromhex(sibling)) + SHA256 * 2 for side, sibling in BRANCH) + bitcoin(358_391),
    digest=sha256(b"Hello World!\n"),
)
"""The best-known .ots file: the example of every OpenTimestamps client."""

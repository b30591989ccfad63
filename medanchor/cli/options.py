"""Arguments and options that several commands share, worded once."""

from pathlib import Path
from typing import Annotated

import typer

from medanchor.cli.context import VAULT

Vault = Annotated[
    Path | None,
    typer.Option("--vault", envvar=VAULT, metavar="DIR", help="The vault; default: this user's own."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of sentences.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and warnings.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Name every record, in messages and in JSON too.")]
KeyName = Annotated[
    str | None, typer.Option("--key", metavar="NAME", help="The key that signs; default: the configuration's.")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="The key's passphrase: the first line of this file."),
]
Node = Annotated[str, typer.Option("--node", metavar="URL", help="A Bitcoin Core node: http://127.0.0.1:48332.")]
Esplora = Annotated[str, typer.Option("--esplora", metavar="URL", help="An Esplora server: https://HOST/api.")]
Paths = Annotated[list[str] | None, typer.Argument(metavar="PATH", show_default=False)]
FollowSymlinks = Annotated[bool, typer.Option("--follow-symlinks", help="Follow symbolic links met in folders.")]
As = Annotated[
    str | None,
    typer.Option("--as", metavar="KIND", help="Read all records as fhir, ndjson, dicom, hl7, xml, zip, gzip or bytes."),
]

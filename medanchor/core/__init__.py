"""What decides: hashes, trees, statements, proofs and the numbered steps of verification.

The rule of this package: bytes in, bytes or a verdict out. It opens no file and no socket, reads no clock, no
environment and no random source, and keeps no state; whoever calls it has read the bytes and fetched the header.
"""

"""What is in a file: records found on disk and their digests. Bytes in, record digests out."""

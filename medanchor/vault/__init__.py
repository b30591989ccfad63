"""What an installation keeps: the ledger and its bundles (SQLite), the signing keys, the configuration."""

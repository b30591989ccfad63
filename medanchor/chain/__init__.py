"""Where blocks and headers come from and transactions go; `source.py` says what every source of blocks offers."""

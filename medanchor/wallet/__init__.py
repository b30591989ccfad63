"""Who pays for an anchor. `wallet.py` says what every wallet offers."""

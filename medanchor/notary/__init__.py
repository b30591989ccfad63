"""The use cases: make a vault, stamp, anchor, prove, verify against a vault, audit.

They are handed their store, their chain, their wallet, their clock and their salts, and print and ask nothing: what
happened comes back as a value, and the command line turns it into words.
"""

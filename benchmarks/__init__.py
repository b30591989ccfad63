"""What is fast, measured against what, rerun by anyone: `python -m benchmarks` (see README.md)."""

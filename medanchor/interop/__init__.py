"""Evidence in other people's formats."""

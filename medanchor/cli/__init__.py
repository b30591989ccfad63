"""The command line: typer commands, and the words and JSON that people and scripts get."""

"""`python -m medanchor` is the command `medanchor`."""

from medanchor.cli.main import main

if __name__ == "__main__":
    main()

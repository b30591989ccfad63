"""`python -m medanchor` and the command `medanchor`: what must be said before anything heavy is imported."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it with 130 from the first moment, the imports' included."""
    try:
        if sys.argv[1:] == ["--version"]:
            from medanchor import __version__

            print(f"medanchor {__version__}")  # noqa: T201 - the fast way: nothing else is needed
            return
        from medanchor.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

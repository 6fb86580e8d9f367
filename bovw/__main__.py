"""`python -m bovw` and the console script."""

from bovw.cli import cli


def main() -> None:
    """Run the command line."""
    cli()


if __name__ == "__main__":
    main()

"""The program `mobilenets`, also as `python -m mobilenets`."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; Ctrl-C ends it in one line, also while Python is still loading it."""
    try:
        from .cli import main as run

        return run()
    except KeyboardInterrupt:
        print("mobilenets: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

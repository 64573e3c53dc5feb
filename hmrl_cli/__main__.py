"""The command `hmrl`, which `python -m hmrl_cli` is, too."""

import sys


def main() -> None:
    """Entry point of `hmrl`.  A Ctrl-C is answered in one line, also while the rest is imported."""
    try:
        from hmrl_cli.cli.main import main as command_line
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        raise SystemExit(130) from None
    command_line()


if __name__ == "__main__":
    main()

"""`python -m hmrl_cli` is `hmrl`."""

from hmrl_cli.cli.main import main

if __name__ == "__main__":
    main()

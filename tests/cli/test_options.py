"""Options of the command line."""

import typing

from hmrl_cli.cli import main as cli


def test_every_command_and_option_is_documented():
    for command in cli.app.registered_commands:
        assert command.callback.__doc__
        hints = typing.get_type_hints(command.callback, include_extras=True)
        del hints["return"]
        for name, hint in hints.items():
            assert hint.__metadata__[0].help, f"{command.callback.__name__}: {name}"

"""What `hmrl` alone shows."""

import shlex

from hmrl_cli.cli import welcome
from tests.test_docs import check_settings, parse


def test_hmrl_alone_says_what_to_do_first(hmrl):
    alone = hmrl()
    assert (alone.code, alone.err) == (0, "")
    lines = alone.out.splitlines()
    assert len(lines) < 24 and max(map(len, lines)) <= 80, "a small terminal shows all of it"
    assert "Usage:" not in alone.out and "Usage:" in hmrl("--help").out
    assert alone.out.index("pretrain-skills") < alone.out.index("meta-train") < alone.out.index("hmrl guide")
    assert hmrl("--debug").out == alone.out


def test_its_commands_are_right():
    for command in [*(command for _, command in welcome.STEPS), *(command for command, _ in welcome.NEXT)]:
        arguments = shlex.split(command)[1:]
        if arguments != ["--help"]:
            parse(arguments)
            check_settings(arguments)

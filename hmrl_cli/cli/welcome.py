"""What `hmrl` alone shows: what to do first, and where to read on."""

from __future__ import annotations

from hmrl_cli.cli.output import print_line
from hmrl_cli.version import __version__

STEPS = (  # what, and the command that does it
    ("Learn skills without reward", "hmrl pretrain-skills wheeled/demo --name skills"),
    ("Learn to explore with them", "hmrl meta-train wheeled/demo --skills runs/skills --name hmrl"),
    ("Adapt to new tasks with sparse rewards", "hmrl eval runs/hmrl"),
)
NEXT = (
    ("hmrl report runs/hmrl", "one HTML page on that run"),
    ("hmrl list presets", "what else can be trained"),
    ("hmrl runs", "the runs that you have"),
    ("hmrl guide", "the topics of the guide"),
    ("hmrl --help", "all commands"),
)


def show() -> None:
    """Print the first screen."""
    lines = [f"hmrl {__version__}: exploration via hierarchical meta reinforcement learning", ""]
    lines += ["Three commands to begin with, a few minutes on two cores:", ""]
    for number, (what, command) in enumerate(STEPS, start=1):
        lines += [f"{number}. {what}:", f"     {command}"]
    lines += ["", "Then:", "", *(f"  {command:<23} {what}" for command, what in NEXT)]
    for line in lines:
        print_line(line)

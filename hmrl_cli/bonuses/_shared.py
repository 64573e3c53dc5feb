"""What the exploration bonuses share, and how a family gets one.

    ppo(bonus(ant_maze, rnd))        sac(bonus(lift(ant_maze, skills), counts))

`environment.composition.bonus` maps a family to a family, as `lift` and `repeat` do.  It is applied last, so
that the bonus sees the steps and the actions of the learner.
"""

from __future__ import annotations

from pydantic import Field

from hmrl_cli.schema import Strict


class Config(Strict):
    """Settings that every bonus has."""

    weight: float = Field(0.1, ge=0, le=1000, description="factor of the bonus, which is added to the reward")
    observe: str = Field("identity", description="feature of the observation that the bonus sees")

"""DIAYN of this project and of QDax, ready to train: the two sides of `skills.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import beside
from beside import version

from hmrl_cli.evaluation.skills import run_skills, skill_diagnostics
from hmrl_cli.lazy import jax, np

QDAX = "0.5.0"
SHARED = ("brax", "jax", "jaxlib", "flax", "optax", "mujoco", "mujoco-mjx", "numpy", "scipy")
SKILL_EPISODES = 8
EXAMPLE = {  # of QDax, with 8 skills in place of 5
    "envs": 250,
    "num_skills": 8,
    "episode_length": 100,
    "batch_size": 256,
    "hidden": [256, 256],
    "discount": 0.97,
    "capacity": 1_000_000,
    "updates_per_step": 0.25,
    "skill_episodes": SKILL_EPISODES,
}


class Peer(beside.Peer):
    """QDax's DIAYN."""

    def __init__(self, settings: dict[str, Any], iterations: int) -> None:
        """Start and compile."""
        pins = [f"qdax=={QDAX}", *(f"{name}=={version(name)}" for name in SHARED)]
        python = beside.environment(f"qdax-{QDAX}", pins)
        super().__init__(python, beside.PEERS / "qdax_diayn.py", settings | {"iterations": iterations})
        self.steps = settings["envs"] * iterations
        self.updates = int(settings["envs"] * settings["updates_per_step"]) * iterations

    def train(self) -> float:
        """Seconds of one call."""
        return self.ask("train")["seconds"]

    def ends(self) -> Any:
        """Displacements [num_skills, N, 2], m."""
        return np.array(self.ask("ends")["ends"])


class Ours(beside.Trained):
    """A preset of this project, trained as `hmrl pretrain-skills` trains it."""

    def __init__(self, preset: str, sets: Sequence[str] = ()) -> None:
        """Compile."""
        super().__init__("pretrain-skills", preset, sets)
        self.updates = getattr(self.experiment.algorithm, "gradient_steps", 0) * self.calls
        self._diagnose: Callable[..., Any] | None = None
        self._ends = jax.jit(jax.vmap(self._run_skills))

    def _run_skills(self, key: Any, state: Any) -> Any:
        task_key, run_key = jax.random.split(key)
        family = self.parts.family
        library = self.learner.skills(self.learner.freeze(state))
        task = family.sample(task_key, "train")
        paths = family.features["xy"](run_skills(run_key, family, library, task, SKILL_EPISODES).obs)
        return paths[:, :, -1] - paths[:, :, 0]

    def train(self) -> float:
        """Seconds of one epoch."""
        return self.epoch()[0]

    def ends(self) -> Any:
        """Displacements [num_skills, N, 2], m."""
        return np.asarray(self._ends(self.streams.evaluate, self.state)[0])

    def look(self) -> dict[str, Any]:
        """Diagnostics of the skills, as `hmrl pretrain-skills` gives them at its end."""
        if self._diagnose is None:
            family, learner = self.parts.family, self.learner

            def one(key: Any, state: Any) -> Any:
                task_key, run_key = jax.random.split(key)
                task = family.sample(task_key, "train")
                return skill_diagnostics(run_key, family, learner, state, task, num_episodes=SKILL_EPISODES)[
                    0
                ]

            self._diagnose = jax.jit(jax.vmap(one))
        found = self._diagnose(self.streams.evaluate, self.state)
        return {name: np.asarray(value)[0].tolist() for name, value in found.items()}


Side = Ours | Peer


def same_settings(settings: dict[str, Any], steps: int, preset: str = "ant_goal/diayn") -> list[str]:
    """Lines of `--set` that give DIAYN here the settings of QDax's, for a call of `steps` steps."""
    updates = int(settings["envs"] * settings["updates_per_step"]) * steps
    return [
        f"family.horizon={steps}",
        *(["family.substeps=10"] if preset.startswith("ant") else []),
        f"algorithm.num_skills={settings['num_skills']}",
        'algorithm.discriminate="xy"',
        'algorithm.observe="body"',
        "algorithm.feature_noise=0.0",
        f"algorithm.episodes_per_update={settings['envs']}",
        f"algorithm.gradient_steps={updates}",
        f"algorithm.batch_size={settings['batch_size']}",
        f"algorithm.buffer_capacity={settings['capacity']}",
        f"algorithm.discriminator_hidden={list(settings['hidden'])}",
        f"algorithm.sac.hidden={list(settings['hidden'])}",
        f"algorithm.sac.discount={settings['discount']}",
        'algorithm.sac.entropy_coefficient="auto"',
        "training.updates_per_epoch=1",
    ]

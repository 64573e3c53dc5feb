"""What one skill earns that is held for an episode and leads through the goal, beside doing nothing.

    python experiments/studies/combination/skill_cost.py OUT.json LIBRARY/SEEDS...     # of the wheeled robot

For every skill of every seed, episodes of the length that the study's arms have, under the sparse reward,
each with its goal where the skill first comes as far as the ring.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hmrl_cli.environment.rollout import unroll
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.runner import assembly, startup
from hmrl_cli.runner.progress import Silent
from hmrl_cli.runner.trained import open_trained
from hmrl_cli.storage import reader

EPISODES = 16  # of each skill
HORIZON = 100
FAR = 1000.0  # m


def measure(run: Path) -> dict[str, Any]:
    """Means over seeds, skills and episodes; of returns, those that reach the ring, and for each skill."""
    trained = open_trained(reader.read(run), "sparse", Silent())
    settings = trained.experiment.family
    family = assembly.make_family(settings.model_copy(update={"reward": "sparse", "horizon": HORIZON}))

    def one_seed(key: Any, state: Any) -> Any:
        learner = trained.parts.make_learner(None)
        library = learner.skills(learner.freeze(state))

        def episode(key: Any, skill: Any) -> Any:
            def act(key: Any, obs: Any) -> Any:
                return library.policy(library.params, obs, skill).sample(key), jnp.zeros(())

            steps, final = unroll(key, act, family, jnp.array([FAR, 0.0]))
            places = jnp.concatenate([steps.obs, final.obs[None]])[:, :2]
            distance = jnp.linalg.norm(places, axis=1)
            there = jnp.argmax(distance >= settings.goal_radius)
            goal = settings.goal_radius * places[there] / distance[there]
            returned = unroll(key, act, family, goal)[0].reward.sum()
            return returned, -FAR * HORIZON - steps.reward.sum(), distance[there] >= settings.goal_radius

        over_episodes = jax.vmap(episode, in_axes=(0, None))
        return jax.vmap(over_episodes, in_axes=(None, 0))(jax.random.split(key, EPISODES), library.examples)

    keys = assembly.seed_keys(trained.experiment).evaluate
    returned, effort, reached = map(np.asarray, jax.jit(jax.vmap(one_seed))(keys, trained.state))
    per_skill = np.ma.array(returned, mask=~reached).mean(axis=2)  # [seed, skill]
    return {
        "num_seeds": len(returned),
        "reach_the_ring": float(reached.mean()),
        "return": float(returned[reached].mean()),
        "return_per_skill": per_skill.tolist(),
        "better_than_nothing": float((returned[reached] > -settings.goal_radius * HORIZON).mean()),
        "price_of_actions": float(effort.mean()),
    }


if __name__ == "__main__":
    startup.prepare()
    found = {Path(run).parent.name: measure(Path(run)) for run in sys.argv[2:]}
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))

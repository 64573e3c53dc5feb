"""The vocabulary: what a task family, an episode, a learner and a skill library are.

Shapes are those of ONE task, ONE episode and ONE seed; batches are made with `vmap` where they are
needed.  `[T]` is time, `[N]` episodes, `[L]` the exploration latent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import jax

    from hmrl_cli.schema import Evaluation

    Array = jax.Array
    Key = jax.Array  # a typed key, as jax.random.key makes it
    Task = jax.Array  # [task_size]
    Params = Any  # nested dict of arrays
    State = Any  # pytree of arrays
    Metrics = dict[str, jax.Array]  # name -> []

Split = Literal["train", "test", "hidden"]
Reward = Literal["dense", "sparse"]


class Discrete(NamedTuple):
    """Actions 0 .. size - 1."""

    size: int


class Continuous(NamedTuple):
    """Actions in R^size; a family clips them to [-1, 1] and scales them to its own units."""

    size: int


Action = Discrete | Continuous


class EnvState(NamedTuple):
    """An episode at one moment."""

    body: Any  # what the family needs to go on: a pytree of arrays
    obs: Array  # [obs_size]
    reward: Array  # []       for the step that led here
    success: Array  # [] bool  the goal is met now
    reached: Array  # [] bool  the goal is met now or was met earlier in the episode
    done: Array  # [] bool  the episode has ended early


class Shape(NamedTuple):
    """A rigid piece of what a viewer draws; lengths in m."""

    kind: Literal["sphere", "capsule", "cylinder", "box"]
    size: tuple[float, ...]  # [radius] | [radius, half length along z] (two kinds) | [half sizes]
    body: int  # the row of `Scene.poses` it is fixed to; -1 stands still
    position: tuple[float, ...]  # [3] in that body
    rotation: tuple[float, ...]  # [4] in that body, a quaternion w x y z
    color: tuple[float, ...]  # [3] red, green, blue in [0, 1]


class Scene(NamedTuple):
    """What an episode looks like."""

    shapes: tuple[Shape, ...]
    poses: Callable[[EnvState], Array]  # [num_bodies, 7]  x y z in m, quaternion w x y z
    goals: Callable[[EnvState, Task], Array]  # [num_goals, 4]  x y z and radius in m, of what solves the task
    dt: float  # s from one step to the next
    flat: bool  # all of it lies in the plane


class TaskFamily(NamedTuple):
    """A family of Markov decision processes that differ in a task vector.

    The task is an argument of every function and never hidden state; the observation never shows it.
    An episode has exactly `horizon` steps: `rollout.advance` freezes one that ends early.
    """

    name: str
    sample: Callable[[Key, Split], Task]
    reset: Callable[[Key, Task], EnvState]
    step: Callable[[EnvState, Array, Task], EnvState]  # `reached` may be left as it was
    controller: Callable[[EnvState, Task], Array] | None  # scripted, knows the goal
    # of observations [..., obs_size] -> [..., F]; "identity" and "xy", the position [..., 2], exist
    features: Mapping[str, Callable[[Array], Array]]
    obs_size: int
    task_size: int
    action: Action
    horizon: int
    terminates: bool  # whether an episode can end before its horizon
    scene: Scene
    is_task: Callable[[Task], Array] | None = None  # -> [] bool, for what shape and finiteness do not tell
    bonus: Bonus | None = None  # what exploring it is worth, beside its reward


class Transition(NamedTuple):
    """One step of an episode; an unroll stacks a leading [T] on every leaf."""

    obs: Array  # [obs_size]
    action: Array  # [action_size], or [] int32
    log_prob: Array  # []
    reward: Array  # []
    discount: Array  # []  0 where the episode ended early at this step, else 1
    valid: Array  # []  1 while the episode was still running before this step, else 0
    next_obs: Array  # [obs_size]


class Bonus(NamedTuple):
    """An exploration bonus, bound to its configuration and its family: a bundle of pure functions.

    Steps are Transitions with leaves [..., leaf]: the episodes of an update [N, T], or replayed ones [B].
    """

    weight: float  # factor of the bonus beside the family's reward
    init: Callable[[Key], State]
    # what taking these steps once more would be worth [...]; steps that do not count get any number
    reward: Callable[[State, Transition], Array]
    # from new steps, each given once; a state of the same tree, shapes, dtypes and weak types
    learn: Callable[[Key, State, Transition], tuple[State, Metrics]]


class AdaptState(NamedTuple):
    """What the inner loop of one task moves, for every meta-learner alike."""

    params: Params
    # distributions.Gaussian of the latent, mean and log_std [L], or what a learner remembers; None without
    latent: Any


class Adaptation(NamedTuple):
    """How one task went before any update and after each of K: means over the episodes of a step."""

    returned: Array  # [K + 1]  undiscounted
    success: Array  # [K + 1]  share of episodes with the goal met at the last step
    reached: Array  # [K + 1]  share of episodes with the goal met at any step


class Distribution(Protocol):
    """What a policy says of an action."""

    def sample(self, key: Key) -> Array:
        """A draw, [..., A] or [...] int32."""

    def sample_with_log_prob(self, key: Key) -> tuple[Array, Array]:
        """A draw and its log probability [...]."""

    def mode(self) -> Array:
        """The most likely action, [..., A] or [...] int32."""


class SkillLibrary(NamedTuple):
    """Frozen skills: `policy(params, obs, skill)` is the distribution of one skill's actions in one state."""

    policy: Callable[[Params, Array, Array], Distribution]
    params: Params
    # what a controller chooses: one of Discrete(number of skills), or a vector, which the policy maps to
    # those it was trained with
    skill: Action
    examples: Array  # [M] int32, all of them, or [M, skill size], some: skills to measure and to look at
    # params and observations [..., obs_size] -> [..., skill size], the mode of q(z|.): the skill that leads
    # there, or stays there; None: skills cannot be told from one observation
    locate: Callable[[Params, Array], Array] | None = None


class MetaLearner(NamedTuple):
    """A learner of tasks, bound to its configuration and its family: a bundle of pure functions.

    `step` returns a state of the same tree, shapes, dtypes and weak types as it was given.
    """

    init: Callable[[Key], State]
    step: Callable[[Key, State], tuple[State, Metrics]]
    steps_per_update: int  # steps of the family that one `step` takes
    # to one task, in `adapt_steps` K updates of `episodes` N: what acted after the last one, and how it went
    adapt: Callable[[Key, State, Task, Evaluation], tuple[AdaptState, Adaptation]]
    # draws what one episode's exploration needs; key, obs -> action, log pi(action).  Where no update is made
    # of sampled actions, it takes `deterministic` besides
    behaviour: Callable[..., Callable[[Key, Array], tuple[Array, Array]]]
    # a fresh state whose policy is the best of some skills, as `SkillLearner.fold` writes one of them;
    # None: it does not start from skills
    start: Callable[[Key, State, SkillLibrary, Callable[[Array], Any]], State] | None = None
    # how many of the N episodes between two updates are experience of one adaptation
    learns_from: Literal["all", "one", "none"] = "all"
    # what a user should know of a trained state, leaves [S, ...], before it adapts by a budget; "": nothing
    note: Callable[[State, Evaluation], str] | None = None


class SkillLearner(NamedTuple):
    """A learner of skills, bound like a `MetaLearner`."""

    init: Callable[[Key], State]
    step: Callable[[Key, State], tuple[State, Metrics]]
    steps_per_update: int
    freeze: Callable[[State], Params]  # what acting with the skills takes
    skills: Callable[[Params], SkillLibrary]
    # of an episode's observations from the reset on [..., T + 1, obs_size]: log q(z|.) of the library's
    # examples after every step [..., T, M]
    discriminate: Callable[[State, Array], Array]
    # frozen parameters and one skill -> {"policy", "observed"}: the same behaviour as a policy that sees
    # the whole observation, normalised by `observed`, and nothing else; None: the skills have no such form
    fold: Callable[[Params, Array], Any] | None = None


Learner = MetaLearner | SkillLearner

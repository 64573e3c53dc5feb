"""The interfaces: task families, episodes, learners and skill libraries.

Shapes are those of ONE task, ONE episode and ONE seed.  Callers batch with `vmap`.  `[T]` is time, `[N]`
episodes, `[L]` the exploration latent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from hmrl_cli.lazy import np

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
    """Actions in R^size; a family clips them to [-1, 1] and scales them to its own units.

    Skills that are places may lie in a narrower box.
    """

    size: int
    half: tuple[float, ...] = ()  # half the sides of the box; empty: ones

    @property
    def bound(self) -> Any:
        """Largest value of each action [size]; numpy."""
        return np.array(self.half or (1.0,) * self.size, np.float32)


Action = Discrete | Continuous


class EnvState(NamedTuple):
    """The state of an episode at one step."""

    body: Any  # the state of the dynamics: a pytree of arrays
    obs: Array  # [obs_size]
    reward: Array  # []  of the last step
    success: Array  # [] bool  whether the goal is reached now
    reached: Array  # [] bool  whether the goal is reached now or was earlier in the episode
    done: Array  # [] bool  whether the episode has ended early


class Shape(NamedTuple):
    """A rigid geometric shape for a viewer; lengths in m."""

    kind: Literal["sphere", "capsule", "cylinder", "box"]
    size: tuple[float, ...]  # [radius] | [radius, half length along z] (two kinds) | [half sizes]
    body: int  # row of `Scene.poses` that moves it; -1: it stands still
    position: tuple[float, ...]  # [3] in that body
    rotation: tuple[float, ...]  # [4] in that body, a quaternion w x y z
    color: tuple[float, ...]  # [3] red, green, blue in [0, 1]


class Scene(NamedTuple):
    """How a viewer draws an episode."""

    shapes: tuple[Shape, ...]
    poses: Callable[[EnvState], Array]  # [num_bodies, 7]  x y z in m, quaternion w x y z
    goals: Callable[[EnvState, Task], Array]  # [num_goals, 4]  x y z and radius in m, of each goal
    dt: float  # s from one step to the next
    flat: bool  # whether everything lies in the plane


class TaskFamily(NamedTuple):
    """A family of Markov decision processes that differ in a task vector.

    The task is an argument of every function, and no part of a state.  The observation does not contain it.
    An episode has exactly `horizon` steps.  `rollout.advance` freezes the state of one that ends early.
    """

    name: str
    sample: Callable[[Key, Split], Task]
    reset: Callable[[Key, Task], EnvState]
    step: Callable[[EnvState, Array, Task], EnvState]  # may leave `reached` unchanged
    # of observations [..., obs_size] -> [..., F]; "identity" and "xy", the position [..., 2], exist
    features: Mapping[str, Callable[[Array], Array]]
    obs_size: int
    task_size: int
    action: Action
    horizon: int
    terminates: bool  # whether an episode can end before its horizon
    scene: Scene
    controller: Callable[[EnvState, Task], Array] | None = None  # scripted; it sees the task
    is_task: Callable[[Task], Array] | None = None  # -> [] bool: whether finite numbers are a task
    bonus: Bonus | None = None  # exploration bonus, added to the reward
    upright: bool = False  # whether "xy" is (x, z), as of a body that moves in the x-z plane


class Transition(NamedTuple):
    """One step of an episode; `unroll` stacks a leading [T] on every leaf."""

    obs: Array  # [obs_size]
    action: Array  # [action_size], or [] int32
    log_prob: Array  # []
    reward: Array  # []
    discount: Array  # []  0 where the episode ended early at this step, else 1
    valid: Array  # []  1 if the episode had not ended before this step, else 0
    next_obs: Array  # [obs_size]


class Bonus(NamedTuple):
    """An exploration bonus as pure functions, bound to its configuration and its family.

    Steps are Transitions with leaves [..., leaf]: the episodes of an update [N, T], or replayed steps [B].
    """

    weight: float  # weight of the bonus relative to the reward of the family
    init: Callable[[Key], State]
    # the bonus [...] for taking these steps again; invalid steps may have any number
    reward: Callable[[State, Transition], Array]
    # updates from new steps, each passed once; keeps the tree, shapes, dtypes and weak types of the state
    learn: Callable[[Key, State, Transition], tuple[State, Metrics]]


class AdaptState(NamedTuple):
    """The state that adapts to one task, the same for every meta-learner."""

    params: Params
    # a distributions.Gaussian with mean and log_std [L], or a learner's own state; None without a latent
    latent: Any


class Adaptation(NamedTuple):
    """Results on one task before any update and after each of K updates, as means over episodes."""

    returned: Array  # [K + 1]  undiscounted
    success: Array  # [K + 1]  share of episodes with the goal reached at the last step
    reached: Array  # [K + 1]  share of episodes with the goal reached at any step
    # the episodes of a recorded family, `frames.Episodes` with leaves [K + 1, N, ...]; None of another one
    episodes: Any = None


class Distribution(Protocol):
    """A policy's distribution of actions."""

    def sample(self, key: Key) -> Array:
        """A draw, [..., A] or [...] int32."""

    def sample_with_log_prob(self, key: Key) -> tuple[Array, Array]:
        """A draw and its log probability [...]."""

    def mode(self) -> Array:
        """The most likely action, [..., A] or [...] int32."""


class SkillLibrary(NamedTuple):
    """Frozen skills: `policy(params, obs, skill)` is the distribution of a skill's action, given an obs."""

    policy: Callable[[Params, Array, Array], Distribution]
    params: Params
    # the action space of skills: Discrete(number of skills), or vectors, which the policy projects to those
    # that it was trained with
    skill: Action
    examples: Array  # skills to diagnose: all of them [M] int32, or some vectors [M, skill size]
    # params, observations [..., obs_size] -> [..., skill size], the mode of q(z|s): the skill that leads to s
    # or stays there; None: q depends on more than one observation, or has no mode
    locate: Callable[[Params, Array], Array] | None = None


class Online(NamedTuple):
    """The adaptation to one task as pure functions of experience, wherever its episodes take place.

    `MetaLearner.adapt` applies them to episodes of the simulator.  A plan is what is known of the task.  An
    episode is what it holds, such as a latent, and what it has met so far, as a `rollout.Held`.
    """

    episodes: int  # N, of one batch; an update follows every batch but the last
    # key, what `keep` returned, first observation [obs_size] -> the key of the functions below, and a plan
    begin: Callable[[Key, Any, Array], tuple[Key, Any]]
    # key, plan, number of a batch [] -> its episodes, leaves [N, ...]
    choose: Callable[[Key, Any, Array], Any]
    # plan, episode, number of a step [], observation -> action, log pi(action), the episode so far
    act: Callable[[Any, Any, Array, Array], tuple[Array, Array, Any]]
    # key, plan, number of a batch [], its episodes, their steps, leaves [N, T, ...] -> plan
    absorb: Callable[[Key, Any, Array, Any, Transition], Any]
    # the episode so far, reward [] of its last action, whether that ended it early [] -> the episode so far
    sense: Callable[[Any, Array, Array], Any] = lambda episode, reward, done: episode


class MetaLearner(NamedTuple):
    """A learner of tasks as pure functions, bound to its configuration and its family.

    `step` keeps the tree, shapes, dtypes and weak types of the state.
    """

    init: Callable[[Key], State]
    step: Callable[[Key, State], tuple[State, Metrics]]
    steps_per_update: int  # environment steps in one `step`
    # adapts to one task by K = adapt_steps updates on N = episodes: the last state, and results [K + 1].
    # Real numbers of the settings that are not 0 may be traced
    adapt: Callable[[Key, State, Task, Evaluation], tuple[AdaptState, Adaptation]]
    # key, adapted state -> the policy of one episode: key, obs -> action, log pi(action).  The key draws what
    # stays constant in an episode, such as a latent.  Learners whose updates need no sampled actions also
    # take `deterministic`
    behaviour: Callable[..., Callable[[Key, Array], tuple[Array, Array]]]
    # a fresh state whose policy is the best skill, in the form of `SkillLearner.fold`; None: not supported
    start: Callable[[Key, State, SkillLibrary, Callable[[Array], Any]], State] | None = None
    # which of the N episodes between two updates an adaptation learns from
    learns_from: Literal["all", "one", "none"] = "all"
    reads_reward: bool = False  # whether it tells tasks apart by the rewards that it observes
    # a message for the user on a trained state, leaves [S, ...], and a budget; "": no message
    note: Callable[[State, Evaluation], str] | None = None
    # the same adaptation for episodes from outside the simulator; None: not supported
    online: Callable[[Evaluation], Online] | None = None
    keep: Callable[[State], Any] | None = None  # the part of a trained state that `online` needs


class SkillLearner(NamedTuple):
    """A learner of skills as pure functions, bound to its configuration and its family."""

    init: Callable[[Key], State]
    step: Callable[[Key, State], tuple[State, Metrics]]
    steps_per_update: int
    freeze: Callable[[State], Params]  # the parameters that the skills' policy needs
    skills: Callable[[Params], SkillLibrary]
    # state, observations of episodes from the reset on [..., T + 1, obs_size] -> log q(z|.) [..., T, M] of
    # the library's examples after every step
    discriminate: Callable[[State, Array], Array]
    # frozen parameters, one skill -> {"policy", "observed"}: parameters of an equal policy whose only input
    # is the observation, normalised by `observed`; None: the skills have no such form
    fold: Callable[[Params, Array], Any] | None = None
    # key, N -> random skills [N] int32, or [N, skill size]; None: the examples are all there are
    draw: Callable[[Key, int], Array] | None = None
    # state, observation and observation of a goal [obs_size] -> the skill that leads from one to the
    # other; None: see `evaluation.goals.skill_for`
    toward: Callable[[State, Array, Array], Array] | None = None


Learner = MetaLearner | SkillLearner

"""Objectives on PPO beside DIAYN's: VIC, DADS, METRA, CSF."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.skills import _spaces, csf, dads, metra, vic
from hmrl_cli.environment.composition import lift
from hmrl_cli.environment.rollout import unroll
from hmrl_cli.learning import moments, ppo
from hmrl_cli.types import Continuous
from tests import toys
from tests.algorithms.skills.test_diayn import train

PPO = ppo.Config(hidden=(16,), minibatches=4, learning_rate=3e-3)
QUICK = dict(observe="identity", episodes_per_update=32, learning_rate=3e-3, hidden=(32,), ppo=PPO)
WALKER = toys.walker(10)


def objective(module, family=WALKER, **settings):
    """The objective of a learner, and its fresh state."""
    learner = module.make(module.Config(**(QUICK | settings)), family)
    bound = learner.step.__self__.objective
    return bound, bound.init(jax.random.key(0))


def walks(skills, seed=0):
    """Paths [N, 11, 2] of points that walk at random."""
    return jnp.cumsum(jax.random.normal(jax.random.key(seed), (len(skills), 11, 2)), axis=1)


def ends_of_examples(learner, state):
    """Where each example's most likely actions lead [M, 2]."""
    library = learner.skills(learner.freeze(state))

    def end(skill):
        def act(key, obs):
            return library.policy(library.params, obs, skill).mode(), jnp.zeros(())

        return unroll(jax.random.key(0), act, WALKER, jnp.zeros(2))[1].obs

    return jax.vmap(end)(library.examples)


LEARNERS = {
    "vic": (vic, dict(num_skills=4, prior="fixed")),
    "dads": (dads, dict(skills="discrete", skill_size=4)),
    "dads, continuous": (dads, {}),
    "metra": (metra, dict(skills="discrete", skill_size=4)),
    "metra, continuous": (metra, {}),
    "csf": (csf, dict(skills="discrete", skill_size=4)),
    "csf, continuous": (csf, {}),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if "continuous" in name else []) for name in LEARNERS],
)
def test_skills_go_their_own_ways(name):
    module, settings = LEARNERS[name]
    learner = module.make(module.Config(**(QUICK | settings)), WALKER)
    state, _ = train(learner, 40, num_seeds=3)
    ends = np.asarray(jax.jit(jax.vmap(lambda state: ends_of_examples(learner, state)))(state))
    if ends.shape[1] == 4:  # all discrete skills
        apart = np.linalg.norm(ends[:, :, None] - ends[:, None], axis=-1)
        parted = (apart[:, ~np.eye(4, dtype=bool)] > 1.0).all(axis=1)
        assert parted.sum() >= 2, ends  # in one seed of ten two skills of DADS share a corner
    else:  # of eight directions those that are opposite; neighbours may share a corner of what can be reached
        assert (np.linalg.norm(ends[:, :4] - ends[:, 4:], axis=-1) > 3.0).all(), ends


def test_a_controller_acts_through_continuous_skills_of_any_length():
    learner = metra.make(metra.Config(**QUICK), WALKER)
    library = learner.skills(learner.freeze(learner.init(jax.random.key(0))))
    lifted = lift(WALKER, library, 5, stochastic=False)
    assert lifted.action == Continuous(2)
    ends = [
        unroll(jax.random.key(0), lambda key, obs, z=z: (jnp.array(z), 0.0), lifted, jnp.zeros(2))[1].obs
        for z in ([0.3, 0.4], [3.0, 4.0], [-3.0, 4.0])
    ]
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5)
    assert np.abs(ends[1] - ends[2]).max() > 1e-4


def test_a_skill_folds_into_a_policy_of_the_whole_observation():
    family = WALKER._replace(features={**WALKER.features, "second": lambda obs: obs[..., 1:]})
    learner = dads.make(dads.Config(**(QUICK | {"observe": "second"})), family)
    state = learner.init(jax.random.key(0))
    state = state._replace(observed=state.observed._replace(mean=jnp.array([1.0, -2.0]), seen=jnp.float32(9)))
    params, skill = learner.freeze(state), jnp.array([0.7, -0.4])
    library, folded = learner.skills(params), learner.fold(params, skill)
    plain = ppo.make(2, 3, family.action, PPO).policy
    for obs in jax.random.normal(jax.random.key(1), (3, 2)):
        own = library.policy(params, obs, skill)
        same = plain.apply(folded["policy"], moments.normalize(folded["observed"], obs))
        np.testing.assert_allclose(same.mean, own.mean, atol=1e-5)
        np.testing.assert_array_equal(same.log_std, own.log_std)


def test_spaces_hold_what_they_say():
    centred = _spaces.one_of(3, centred=True)
    corners = np.asarray(centred.encode(centred.examples))
    np.testing.assert_allclose(corners.sum(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.diag(corners), 1, rtol=1e-6)
    draws = np.asarray(centred.draw(jax.random.key(0), 7))
    assert sorted(np.bincount(draws)) == [2, 2, 3]  # as even as 7 can be
    draws = np.asarray(jax.vmap(lambda key: centred.draw(key, 7))(jax.random.split(jax.random.key(0), 600)))
    np.testing.assert_allclose(np.bincount(draws.ravel()) / draws.size, 1 / 3, atol=0.01)  # whoever is third
    for size in (2, 3):
        space = _spaces.direction(size)
        drawn = space.draw(jax.random.key(0), 2000)
        np.testing.assert_allclose(np.linalg.norm(drawn, axis=-1), 1, rtol=1e-5)
        np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.06)
        np.testing.assert_allclose(np.linalg.norm(space.examples, axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(_spaces.box(2).encode(jnp.array([3.0, -0.5])), [1.0, -0.5])


def test_vic_pays_once_at_the_last_step_that_counts():
    goal, state = objective(vic, num_skills=3)
    skills = jnp.array([0, 2])
    valid = jnp.ones((2, 10)).at[1, 4:].set(0.0)
    path = walks(skills)
    reward, price = goal.reward(jax.random.key(0), state, skills, path, valid)
    log_q = goal.log_q(state, path)
    assert reward.shape == (2, 10, 1) and (price == 1).all()
    np.testing.assert_allclose(reward[0, :9], 0)
    np.testing.assert_allclose(reward[0, 9, 0], log_q[0, 9, 0] + np.log(3), rtol=1e-5)
    np.testing.assert_allclose(reward[1, 3, 0], log_q[1, 9, 2] + np.log(3), rtol=1e-5)  # frozen from there on
    assert np.count_nonzero(reward) == 2


def test_a_learned_prior_follows_what_skills_are_worth():
    """p(z) ~ exp(E[log q(z|.)]) is where it comes to rest, and a skill nobody can tell is drawn no more."""
    goal, state = objective(vic, num_skills=3, prior_rate=0.5)
    vic_ = goal.learn.__self__
    skills, own = jnp.array([0, 0, 1, 2]), jnp.array([-0.1, -0.3, -1.0, -8.0])
    log_prior = state.log_prior
    for _ in range(40):
        log_prior = vic_._moved(log_prior, skills, own)
    np.testing.assert_allclose(log_prior, jax.nn.log_softmax(jnp.array([-0.2, -1.0, -8.0])), atol=1e-4)
    # not drawn is not forgotten: whatever the others are worth
    np.testing.assert_allclose(vic_._moved(log_prior, skills[:3], own[:3])[2], log_prior[2], rtol=1e-5)
    np.testing.assert_allclose(jax.nn.logsumexp(vic_._moved(log_prior, skills[:3], own[:3])), 0, atol=1e-5)


@pytest.mark.slow
def test_a_learned_prior_collapses_and_a_fixed_one_does_not():
    settings = QUICK | dict(num_skills=16, episodes_per_update=32, prior_rate=1.0)
    effective = {}
    for prior in ("learned", "fixed"):
        learner = vic.make(vic.Config(**settings, prior=prior), WALKER)
        effective[prior] = np.asarray(train(learner, 30, num_seeds=2)[1]["effective_prior"])
    np.testing.assert_allclose(effective["fixed"], 16, rtol=1e-4)
    assert (effective["learned"] < 11).all()


def test_dads_pays_by_bayes_rule_where_all_skills_are_asked():
    goal, state = objective(dads, skills="discrete", skill_size=4)
    skills = jnp.array([0, 1, 2, 3])
    path, valid = walks(skills), jnp.ones((4, 10))
    reward, _ = goal.reward(jax.random.key(0), state, skills, path, valid)
    log_q = goal.log_q(state, path)
    own = jnp.stack([log_q[z, :, z] for z in range(4)])
    np.testing.assert_allclose(reward[..., 0], own + np.log(4), atol=1e-5)
    assert (reward <= np.log(4)).all()


@pytest.mark.parametrize("unit", [1.0, 1e-4])
def test_dads_pays_alike_in_any_units(unit):
    goal, state = objective(dads, samples=5)
    changed = moments.absorb(moments.initial(2), unit * walks(jnp.arange(4)), jnp.ones((4, 11)))
    state = state._replace(changed=changed)
    skills = goal.space.draw(jax.random.key(1), 3)
    steps = goal.reward.__self__._steps(skills, walks(skills, 2), jnp.ones((3, 10)))
    found = goal.reward.__self__._log_likelihood(
        state.dynamics.params, state, steps._replace(change=changed.mean + jnp.sqrt(changed.variance))
    )
    plain = state._replace(changed=moments.initial(2))
    expected = goal.reward.__self__._log_likelihood(
        state.dynamics.params, plain, steps._replace(change=jnp.ones(2))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_dads_pays_at_most_log_of_the_number_asked():
    goal, state = objective(dads, samples=5)
    skills = goal.space.draw(jax.random.key(1), 4)
    reward, _ = goal.reward(jax.random.key(0), state, skills, walks(skills), jnp.ones((4, 10)))
    assert reward.shape == (4, 10, 1) and (reward < np.log(6)).all()
    assert np.abs(reward).max() > 1e-3


def test_dads_pays_nothing_where_the_next_change_is_known_without_the_skill():
    """Closed forms: what moves by its velocity, which is its skill, under models that know all they can."""
    features = {"identity": lambda o: o, "xy": lambda o: o[..., :2], "velocity": lambda o: o[..., 2:]}
    family = WALKER._replace(features=features, obs_size=4)
    skills = jnp.array([[0.6, -0.2], [-0.9, 0.5], [0.1, 0.8]])
    place = jnp.arange(11.0)[:, None] * skills[:, None]
    path = jnp.concatenate([place, jnp.broadcast_to(skills[:, None], place.shape)], axis=-1)
    nothing = jnp.zeros((2, 2))
    # the linear model's kernel, which sees what q conditions on and then the skill: one of them suffices
    told_by = {"velocity": [jnp.eye(2), nothing], "xy": [nothing, jnp.eye(2)]}
    others = dads.make(dads.Config(**QUICK), family).step.__self__.objective.space.draw(jax.random.key(1), 5)
    apart = jnp.sum((skills[:, None] - others) ** 2, axis=-1)
    for condition, kernel in told_by.items():
        goal, state = objective(dads, family, observe="velocity", condition=condition, hidden=(), samples=5)
        params = jax.tree.map(jnp.zeros_like, state.dynamics.params)
        params["layers_0"] |= {"kernel": jnp.concatenate(kernel)}
        state = state._replace(dynamics=state.dynamics._replace(params=params))
        reward, _ = goal.reward(jax.random.key(1), state, skills, path, jnp.ones((3, 10)))
        worth = jnp.log(6) - jnp.log(1 + jnp.exp(-apart / 2).sum(axis=-1))
        expected = {"velocity": jnp.zeros(3), "xy": worth}[condition]
        np.testing.assert_allclose(reward[..., 0], jnp.broadcast_to(expected[:, None], (3, 10)), atol=1e-4)
    assert dads.Config().condition == dads.Config().predict == "xy"


def test_dads_learns_skills_that_pay_though_the_policy_sees_velocities():
    """A body that coasts: its velocity, which the policy sees and q does not, tells its next change."""

    def step(state, action, task):
        velocity = 0.5 * state.obs[2:] + 0.3 * jnp.clip(action, -1, 1)
        obs = jnp.concatenate([state.obs[:2] + state.obs[2:], velocity])
        return state._replace(obs=obs)

    def reset(key, task):
        return WALKER.reset(key, task)._replace(obs=jnp.zeros(4))

    features = {"xy": lambda obs: obs[..., :2], "body": lambda obs: obs[..., 2:]}
    family = WALKER._replace(reset=reset, step=step, features=features, obs_size=4)
    config = dads.Config(**(QUICK | {"observe": "body"}), skills="discrete", skill_size=4)
    _, metrics = train(dads.make(config, family), 20, num_seeds=2)
    assert (metrics["intrinsic_reward"] > 0.3).all(), metrics["intrinsic_reward"]


@pytest.mark.parametrize("module", [metra, csf])
def test_the_reward_of_an_episode_is_how_far_phi_went_along_the_skill(module):
    goal, state = objective(module)
    skills = goal.space.draw(jax.random.key(1), 3)
    path, valid = walks(skills), jnp.ones((3, 10))
    reward, price = goal.reward(jax.random.key(0), state, skills, path, valid)
    total = jnp.sum(reward.sum(axis=1) * price, axis=-1)
    params = state.params.phi if module is metra else state.params
    phi = goal.log_q.__self__.phi.along(params, state.observed, path)
    np.testing.assert_allclose(total, jnp.sum((phi[:, -1] - phi[:, 0]) * skills, axis=-1), atol=1e-5)


def test_metra_keeps_its_steps_short():
    """The price of the constraint rises from far too low until phi's mean squared step is 1 or less."""
    learner = metra.make(metra.Config(**(QUICK | dict(learning_rate=2e-2)), multiplier=0.1), WALKER)
    _, metrics = train(learner, 60, num_seeds=2)
    assert (metrics["room"] > -0.3).all() and (metrics["multiplier"] > 0.2).all()


def test_csf_prefers_the_skill_that_acted():
    """The contrast is least where dphi = 0 or points along z; phi's steps stay short without a constraint."""
    learner = csf.make(csf.Config(**QUICK), WALKER)
    _, metrics = train(learner, 40, num_seeds=2)
    assert (metrics["gain"] > 0.1).all() and (metrics["step_length"] < 3).all()


def test_mistakes_are_named():
    few = QUICK | dict(episodes_per_update=4)
    for module, settings in ((vic, dict(num_skills=5)), (metra, dict(skills="discrete", skill_size=5))):
        with pytest.raises(
            ValueError, match="found 4; must be at least the number of skills, 5, so that every"
        ):
            module.make(module.Config(**(few | settings)), WALKER)
    for module, field in (
        (vic, "discriminate"),
        (dads, "condition"),
        (metra, "represent"),
        (csf, "represent"),
    ):
        with pytest.raises(
            ValueError, match=f"algorithm.{field}: walker has no feature 'wings', only identity"
        ):
            module.make(module.Config(**(QUICK | {field: "wings"})), WALKER)

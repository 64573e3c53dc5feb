"""VGCRL: skills that are places."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.skills import vgcrl
from hmrl_cli.algorithms.skills._off_policy import OF_SAC, Stored
from hmrl_cli.algorithms.skills._spaces import box, redrawn
from hmrl_cli.learning import moments, ppo, sac
from hmrl_cli.types import Transition
from tests import toys
from tests.algorithms.skills.objectives import PPO, QUICK, WALKER, objective, walks

SETTINGS = dict(reach=2.0, spread=0.3)


def goal(family=WALKER, **settings):
    """The objective, and its fresh state."""
    found, state = objective(vgcrl, family, **(SETTINGS | settings))
    return found.init.__self__, state


def learner_of(family=WALKER, **settings):
    return vgcrl.make(vgcrl.Config(**(QUICK | SETTINGS | settings)), family)


@pytest.mark.parametrize("q", ["fixed", "learned"])
def test_q_is_a_density_of_the_skill(q):
    bound, state = goal(q=q)
    along = jnp.linspace(-3.0, 3.0, 601)
    skills = jnp.stack(jnp.meshgrid(along, along), axis=-1)
    params, obs = bound.freeze(state), jnp.array([0.5, -0.8])
    density = jnp.exp(bound._density(params, obs, skills))
    assert density.sum() * 0.01**2 == pytest.approx(1, abs=0.01)
    best = skills.reshape(-1, 2)[density.argmax()]
    np.testing.assert_allclose(best, bound.locate(params, obs), atol=0.01)


def test_with_heavy_tails_q_is_a_density_and_far_places_differ_little():
    bound, state = goal(tails="heavy")
    params, obs = bound.freeze(state), jnp.zeros(2)
    radius = jnp.geomspace(1e-4, 1e4, 4001)
    density = jnp.exp(bound._density(params, obs, radius[:, None] * jnp.array([0.6, 0.8])))
    assert jnp.trapezoid(density * 2 * jnp.pi * radius, radius) == pytest.approx(1, abs=2e-3)
    light, _ = goal()
    near, far = jnp.array([[0.0, 0.5], [0.0, 0.7]]), jnp.array([[0.0, 4.0], [0.0, 4.2]])
    falls = [
        -jnp.diff(one._density(params, obs, places))[0] for one in (bound, light) for places in (near, far)
    ]
    assert falls[1] < 0.3 * falls[0] and falls[3] == pytest.approx(float(falls[2]), rel=1e-3)


def test_places_are_counted_from_the_center_in_units_of_the_reach():
    bound, state = goal(center=(1.0, -1.0))
    params, obs = bound.freeze(state), jnp.array([2.0, 1.0])
    np.testing.assert_allclose(bound.locate(params, obs), [0.5, 1.0])
    # 5 spreads are a way of 1
    np.testing.assert_allclose(bound.way(params, obs, jnp.array([0.0, 1.0])), [-1.0 / 1.5, 0.0], atol=1e-6)


def test_each_axis_may_have_its_own_reach():
    """Distances stay those of the feature, and skills are drawn from a narrower box."""
    (wide, state), (square, _) = goal(reach=(4.0, 1.0)), goal(reach=4.0)
    params, path = wide.freeze(state), walks(jnp.array([[0.5, -0.2]]))
    np.testing.assert_allclose(wide.locate(params, path), square.locate(params, path))
    box = learner_of(reach=(4.0, 1.0)).skills(None).skill
    np.testing.assert_allclose(box.bound, [1.0, 0.25])
    assert np.abs(wide.examples).max(axis=0) == pytest.approx(np.abs(square.examples).max() * box.bound)
    # a uniform draw from a smaller box is known by less
    skills, valid = jnp.array([[0.1, 0.1]]), jnp.ones((1, path.shape[1] - 1))
    bounds = [one.learn(jax.random.key(0), state, skills, path, valid)[1] for one in (wide, square)]
    lost = bounds[1]["mutual_information"] - bounds[0]["mutual_information"]
    assert lost == pytest.approx(np.log(4.0), rel=1e-5)


@pytest.mark.parametrize("redraw", [0.0, 0.1])
def test_an_episode_earns_the_increase_of_log_q_less_the_price_of_an_early_end(redraw):
    """The second episode ends at its fourth step, the third at its last."""
    learner = learner_of(redraw=redraw, fall_price=7.0).step.__self__
    state = learner.init(jax.random.key(0))
    skills = jnp.array([[0.5, -0.5], [0.1, 0.9], [0.3, 0.2]])
    path = walks(skills)
    valid = jnp.ones((3, 10)).at[1, 4:].set(0.0)
    discount = jnp.ones((3, 10)).at[1, 3:].set(0.0).at[2, 9].set(0.0)
    path = path.at[1, 4:].set(path[1, 4])
    of_steps = jnp.repeat(skills[:, None], 10, axis=1) if redraw else skills
    steps = Transition(path[:, :-1], of_steps, valid, valid, discount, valid, path[:, 1:])
    reward, weights = learner.reward(jax.random.key(0), state, of_steps, path, steps)
    bound, of_goal = goal(redraw=redraw)
    log_q = bound._density(bound.freeze(of_goal), path[:, jnp.array([0, -1])], skills[:, None])
    gain = log_q[:, 1] - log_q[:, 0] - jnp.array([0.0, 7.0, 7.0])
    np.testing.assert_allclose(jnp.sum(reward[..., 0] * weights * valid, axis=1), gain, rtol=1e-4)
    assert reward[1, 3, 0] < -3 and not reward[1, 4:].any()


def test_episodes_go_on_with_other_skills_now_and_then():
    space = box(2)
    first = space.draw(jax.random.key(0), 32)
    skills = np.asarray(redrawn(jax.random.key(1), space, first, 200, 0.05))
    assert skills.shape == (32, 200, 2) and np.abs(skills).max() <= 1
    np.testing.assert_array_equal(skills[:, 0], first)
    changes = skills[:, 1:] != skills[:, :-1]
    np.testing.assert_array_equal(changes[..., 0], changes[..., 1])
    assert changes.mean() == pytest.approx(0.05, abs=0.01)
    drawn = skills[:, 1:][changes[..., 0]]
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(drawn.var(axis=0), 1 / 3, atol=0.06)


def test_skills_arrive():
    settings = dict(reach=1.5, redraw=0.02, ppo=PPO.model_copy(update={"hidden": (32,)}))
    _, metrics = toys.train(learner_of(**settings), 12, num_seeds=2)
    assert (metrics["arrivals"] > 0.75).all() and (metrics["mutual_information"] > 0.2).all(), metrics
    assert (metrics["reach"] == 1.5).all()


SAC = sac.Config(hidden=(32,), learning_rate=3e-3, discount=0.9, entropy_coefficient=0.02)
REPLAY = dict(learner="sac", sac=SAC, episodes_per_update=16, gradient_steps=50, batch_size=128)


def test_skills_arrive_with_replay():
    """After 3,840 steps, as many as PPO has in the test above."""
    learner = learner_of(**REPLAY, reach=1.5, redraw=0.02, buffer_capacity=4000)
    _, metrics = toys.train(learner, 24, num_seeds=1)
    assert (metrics["arrivals"] > 0.75).all() and (metrics["mutual_information"] > 0.2).all(), metrics


def test_hindsight_tells_places_that_were_met_later():
    """Of 64 episodes, of which each ends after some steps, none is from before or after the end."""
    learner = learner_of(**REPLAY, redraw=0.0).step.__self__
    state = learner.init(jax.random.key(0))
    run = jax.jit(jax.vmap(learner._episode, in_axes=(0, None)))
    steps, stored = run(jax.random.split(jax.random.key(1), 64), learner.freeze(state))
    met = np.clip(np.asarray(steps.next_obs) / SETTINGS["reach"], -1.0, 1.0)
    same = np.isclose(np.asarray(stored.later)[:, :, None], met[:, None], atol=1e-5).all(axis=-1)
    later = np.arange(10)[None, :] >= np.arange(10)[:, None]
    assert (same & later).any(axis=-1).all()
    at_once = same[:, :, :][:, np.arange(10), np.arange(10)].mean(axis=0)
    assert at_once[0] < 0.3 and at_once[-1] == 1.0
    cut = steps._replace(valid=jnp.ones((64, 10)).at[:, 4:].set(0.0))
    library = learner.skills(learner.freeze(state))
    early = jax.vmap(learner._met_later, in_axes=(0, None, 0))(
        jax.random.split(jax.random.key(2), 64), library, cut
    )
    same = np.isclose(np.asarray(early)[:, :4, None], met[:, None, :4], atol=1e-5).all(axis=-1)
    assert same.any(axis=-1).all()


def test_so_many_replayed_steps_are_relabelled():
    """Before the objective sees them: their skill is then the place that was met."""
    learner = learner_of(**REPLAY, redraw=0.0).step.__self__
    settings = {"batch_size": 2000, "gradient_steps": 1}
    learner = learner._replace(config=learner.config.model_copy(update=settings))
    state, _ = learner.step(jax.random.key(1), learner.init(jax.random.key(0)))
    seen, learn = [], learner.objective.learn

    def spy(key, state, batch):
        seen.append((batch.skill, batch.later))
        return learn(key, state, batch)

    for share in (0.2, 1.0):
        objective = learner.objective._replace(hindsight=share, learn=spy)
        learner._replace(objective=objective)._learn(jax.random.key(2), state)
        skill, later = seen.pop()
        assert np.mean(np.all(skill == later, axis=-1)) == pytest.approx(share, abs=0.03)


def test_without_hindsight_nothing_is_stored_of_it():
    learner = learner_of(**REPLAY, hindsight=0.0).step.__self__
    assert jax.eval_shape(learner.init, jax.random.key(0)).buffer.data.later is None


def test_replayed_rewards_are_those_of_episodes():
    learner = learner_of(**REPLAY, redraw=0.0, fall_price=7.0).step.__self__
    state = learner.init(jax.random.key(0))
    bound, of_ppo = learner.objective, goal(redraw=0.0, fall_price=7.0)
    skills = jax.random.uniform(jax.random.key(1), (2, 2), minval=-1.0)
    path = walks(skills)
    expected, _ = of_ppo[0].reward(jax.random.key(0), of_ppo[1], skills, path, jnp.ones((2, 10)))
    batch = Stored(path[:, 3], jnp.zeros((2, 2)), jnp.array([1.0, 0.0]), path[:, 4], skills, None)
    _, reward, _ = bound.learn(jax.random.key(0), state, batch)
    np.testing.assert_allclose(reward.value, expected[:, 3, 0] - jnp.array([0.0, 7.0]), rtol=1e-5)


def test_replay_needs_a_fixed_q():
    for settings in (dict(q="learned"), dict(arrivals=0.5)):
        with pytest.raises(ValueError, match=f"{next(iter(settings))}: found .* with learner 'sac'"):
            vgcrl.Config(learner="sac", **settings)


@pytest.mark.parametrize("learner", ["ppo", "sac"])
def test_a_density_that_would_pay_nothing_is_refused(learner):
    with pytest.raises(ValueError, match=rf"{learner}.discount: found 1 with reward 'density'"):
        vgcrl.Config(learner=learner, reward="density", **{learner: {"discount": 1.0}})


@pytest.mark.slow
def test_a_learned_q_learns_and_skills_arrive():
    learner = learner_of(q="learned", redraw=0.02)
    early = toys.train(learner, 1, num_seeds=2)[1]
    late = toys.train(learner, 40, num_seeds=2)[1]
    assert (late["mutual_information"] > early["mutual_information"] + 1).all(), (early, late)
    assert (late["mutual_information"] > 0).all() and (late["arrivals"] > 0.4).all(), late


def test_a_learned_q_fits_the_skills_that_led_to_the_states():
    bound, state = goal(q="learned", redraw=0.0)
    skills = jax.random.uniform(jax.random.key(1), (32, 2), minval=-0.8, maxval=0.8)
    path = jnp.repeat(3 + 5 * skills[:, None], 11, axis=1)
    learn = jax.jit(lambda state: bound.learn(jax.random.key(2), state, skills, path, jnp.ones((32, 10))))
    information = []
    for _ in range(30):
        state, metrics = learn(state)
        information.append(metrics["mutual_information"])
    np.testing.assert_allclose(bound.locate(bound.freeze(state), path[:, -1]), skills, atol=0.2)
    assert information[-1] > max(information[0], 1.0)
    assert state.net.observed.mean == pytest.approx(path.mean(axis=(0, 1)), abs=1e-3)


def test_a_reach_follows_the_arrivals():
    skills, valid = jnp.array([[0.5, 0.5], [-0.5, 0.0]]), jnp.ones((2, 10))
    for arrivals, away, follows in ((0.5, 0.0, 1), (0.5, 5.0, -1), (None, 0.0, 0)):
        bound, state = goal(arrivals=arrivals, redraw=0.0)
        path = jnp.repeat(2.0 * skills[:, None], 11, axis=1) + away
        new, metrics = bound.learn(jax.random.key(0), state, skills, path, valid)
        assert metrics["arrivals"] == metrics["near"] == (away == 0.0)
        assert jnp.sign(new.reach - state.reach) == follows
    bound, state = goal(arrivals=0.5, redraw=0.0)
    state = state._replace(reach=jnp.float32(0.301))
    new, _ = bound.learn(jax.random.key(0), state, skills, jnp.full((2, 11, 2), 9.0), valid)
    assert new.reach == pytest.approx(0.3)  # the spread


def test_a_fallen_body_has_not_arrived():
    bound, state = goal(redraw=0.0)
    skills = jnp.array([[0.5, 0.5], [-0.5, 0.0]])
    path = jnp.repeat(2.0 * skills[:, None], 11, axis=1)
    valid = jnp.ones((2, 10)).at[1, 4:].set(0.0)
    assert bound.learn(jax.random.key(0), state, skills, path, valid)[1]["arrivals"] == 0.5


def test_a_place_folds_into_a_policy_of_the_whole_observation():
    family = WALKER._replace(features={**WALKER.features, "second": lambda obs: obs[..., 1:]})
    learner = learner_of(family, observe="second", center=(0.4, -0.2))
    state = jax.jit(learner.init)(jax.random.key(0))
    observed = moments.Moments(jnp.float32(9), jnp.array([1.0, -2.0]), jnp.array([4.0, 0.3]))
    params, skill = learner.freeze(state._replace(observed=observed)), jnp.array([0.7, -3.0])
    library, folded = learner.skills(params), learner.fold(params, skill)
    plain = ppo.make(2, 3, family.action, PPO).policy
    for obs in jax.random.normal(jax.random.key(1), (3, 2)):
        own = library.policy(params, obs, skill)
        same = plain.apply(folded["policy"], moments.normalize(folded["observed"], obs))
        np.testing.assert_allclose(same.mean, own.mean, atol=1e-5)
        np.testing.assert_array_equal(same.log_std, own.log_std)
    assert learner_of(q="learned").fold is None


def test_both_rewards_have_the_same_optimum():
    """Discounted sums of both differ by the ends of the path alone."""
    gamma, path = PPO.discount, walks(range(4))
    valid, skills = jnp.ones((4, 10)), jnp.broadcast_to(jnp.array([0.6, -0.3]), (4, 10, 2))
    sums = {}
    for reward in ("increase", "density"):
        bound, state = goal(reward=reward)
        earned = bound.reward(jax.random.key(1), state, skills, path, valid)[0][..., 0]
        sums[reward] = (gamma ** jnp.arange(10) * earned).sum(axis=1)
    params = bound.freeze(state)
    gain = bound._density(params, path, skills[:, :1]) + 2 * jnp.log(2.0)  # log q / p, in a box of side 2
    expected = sums["density"] - gain[:, 0] + gamma**10 * gain[:, -1]
    np.testing.assert_allclose(sums["increase"], expected, rtol=1e-4, atol=1e-4)


def test_settings_of_the_other_q_are_unused():
    of_replay = {*OF_SAC, "hindsight"}
    assert {*vgcrl.Config().unused()} == {"hidden", "learning_rate", *of_replay}  # only the policy is learned
    assert {*vgcrl.Config(learner="sac").unused()} == {"hidden", "learning_rate", "ppo"}
    assert {*vgcrl.Config(q="learned").unused()} == {"center", "arrivals", "tails", *of_replay}
    obs, skills = jnp.array([0.5, -0.8]), jnp.array([[0.1, 0.2], [-1.0, 1.0]])
    rewards = []
    for tails in ("light", "heavy"):
        bound, state = goal(q="learned", tails=tails)
        rewards.append(bound._density(bound.freeze(state), obs, skills))
    np.testing.assert_array_equal(*rewards)


def test_mistakes_are_named():
    for settings, message in (
        (dict(reach=(1.0, 2.0, 3.0)), "algorithm.reach: found 3 numbers; must be 2, as 'xy' of walker has"),
        (dict(center=(1.0,)), "algorithm.center: found 1 numbers; must be 2, as 'xy' of walker has"),
        (dict(discriminate="wings"), "algorithm.discriminate: walker has no feature 'wings', only identity"),
        (dict(observe="wings"), "algorithm.observe: walker has no feature 'wings', only identity"),
    ):
        with pytest.raises(ValueError, match=message):
            learner_of(**settings)

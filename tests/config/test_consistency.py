"""Settings that would do nothing."""

import pytest

from hmrl_cli import config
from tests.config.room import real, refusal

SKILLS = ["hierarchy.skills=z"]
RELABEL = "evaluation.rule=relabel"
ONE_STEP = ["algorithm.ppo.epochs=1", "algorithm.ppo.minibatches=1"]


@pytest.mark.parametrize(
    ("preset", "sets", "complaint"),
    [
        ("wheeled/maesn", ["algorithm.inner_surrogate=ratio"], "'ratio', but algorithm.adapts is latent"),
        (
            "wheeled/maesn",
            ["algorithm.inner_lr=0.3"],
            "0.3, but algorithm.adapts is latent",
        ),
        ("wheeled/maesn", ["algorithm.adapts=policy", "algorithm.mean_step_size=1"], "adapts is policy"),
        ("wheeled/maesn", ["algorithm.adapts=policy", "algorithm.log_std_step_size=1"], "adapts is policy"),
        ("wheeled/maesn", ["algorithm.clipped.epochs=3"], "3, but algorithm.outer is trust_region"),
        ("ant_goal/maesn", ["algorithm.trust_region.cg_damping=1.0"], "algorithm.outer is clipped"),
        ("ant_goal/maesn", ["algorithm.inner_steps=0", "algorithm.clipped.kl_weight=1"], "inner_steps is 0"),
        ("ant_goal/maml", ["algorithm.outer_loss=all"], "'all', but algorithm.inner_steps is 1"),
        ("wheeled/maesn", ["algorithm.inner_steps=0", "algorithm.first_order=true"], "inner_steps is 0"),
        ("wheeled/maesn", ["algorithm.inner_steps=0", "algorithm.learn_step_size=false"], "inner_steps is 0"),
        ("wheeled/maesn", ["algorithm.step_decay=1.0", "algorithm.step_hold=3"], "step_decay is 1"),
        ("point/maml", ["algorithm.step_floor=0.5"], "algorithm.step_decay is 1"),
        ("point/maml_trpo", ["algorithm.step_decay=0.9"], "evaluation.step_decay is set"),
        ("wheeled/dads", ["algorithm.skills=discrete", "algorithm.samples=5"], "skills is discrete"),
        ("wheeled/vic_fixed", ["algorithm.prior_rate=0.5"], "0.5, but algorithm.prior is fixed"),
        ("wheeled/diayn_ppo", ["algorithm.hidden=[9]"], "[9], but algorithm.discriminator is prototypes"),
        ("pusher/diayn_ppo", ["algorithm.sharpness=9.0"], "9.0, but algorithm.discriminator is mlp"),
        ("wheeled/diayn_ppo", ["evaluation.num_tasks=3"], "3, but skills do not adapt"),
        ("wheeled/diayn_ppo", ["evaluation.diagnosis.near=2.0"], "2.0, but evaluation.diagnosis.goals is 0"),
        (
            "wheeled/maesn",
            ["evaluation.diagnosis.goals=5"],
            "5, but maesn learns no skills",
        ),
        ("ant_goal/csf", ["algorithm.batch_size=5"], "5, but algorithm.learner is ppo"),
        ("ant_goal/metra_sac", ["algorithm.ppo.clip=0.5"], "0.5, but algorithm.learner is sac"),
        ("ant_goal/diayn", ["algorithm.sac.first_coefficient=0.5"], "entropy_coefficient is a number"),
        ("sparse_point/pearl", ["algorithm.kl_lambda=0.0", "algorithm.kl_warmup=9"], "kl_lambda is 0"),
        ("wheeled/ppo", [*ONE_STEP, "algorithm.ppo.clip=0.1"], "1 g"),
        ("wheeled/ppo", [*SKILLS, "hierarchy.use=start", "hierarchy.steps_per_skill=2"], "use is start"),
        ("wheeled/ppo", [*SKILLS, "hierarchy.use=start", "hierarchy.stochastic=false"], "use is start"),
        ("wheeled/ppo", [*SKILLS, "hierarchy.use=start", "algorithm.ppo.init_std=1.0"], "starts as a skill"),
        ("wheeled/ppo", ["evaluation.rule=refit"], "'refit', but ppo has no inner loop"),
        ("wheeled/sac", ["evaluation.tune_after=0"], "0, but sac has no inner loop"),
        ("wheeled/ppo", ["evaluation.tuning.clip=0.1"], "ppo has no inner loop"),
        ("wheeled/ppo", ["evaluation.step_hold=2"], "2, but ppo has no inner loop"),
        ("wheeled/maml", ["evaluation.latent_std=3.0"], "3.0, but maml has no latent"),
        (
            "wheeled/maesn",
            ["evaluation.imitation_steps=2"],
            "2, but evaluation.rule is not refit",
        ),
        ("wheeled/maesn", ["evaluation.least_gain=2"], "2.0, but evaluation.rule is not refit or relabel"),
        ("wheeled/maesn", ["evaluation.relabel.noise=0.5"], "0.5, but evaluation.rule is not relabel"),
        ("wheeled/hmrl", [*SKILLS, RELABEL, "evaluation.relabel.width=0.5"], "maesn has no learned prior"),
        (
            "wheeled/hmrl",
            [*SKILLS, RELABEL, "evaluation.relabel.sight=0.5"],
            "there is no evaluation.fallback",
        ),
        ("wheeled/hmrl", [*SKILLS, RELABEL, "evaluation.tune_after=1"], "1, but evaluation.rule is relabel"),
        ("wheeled/maesn", ["evaluation.selectivity=5.0"], "5.0, but evaluation.rule is not refit or relabel"),
        ("wheeled/maesn", ["evaluation.tuning.clip=0.1"], "0.1, but there is no evaluation.tune_after"),
        ("wheeled/maesn", ["evaluation.imitation.episodes=3"], "3, but evaluation.rule is not refit"),
        (
            "wheeled/maesn",
            ["evaluation.rule=refit", "evaluation.imitation.episodes=3"],
            "imitation_steps is 0",
        ),
        ("wheeled/skill_prior", [*SKILLS, "evaluation.fallback=0.5"], "0.5, but skill_prior has no policy"),
        ("wheeled/skill_prior", [*SKILLS, "evaluation.latent_std=3.0"], "3.0, but skill_prior has no policy"),
        ("wheeled/maesn", ["evaluation.late_fallback=0.5"], "there is no evaluation.fallback"),
        ("wheeled/maesn", ["evaluation.tune_after=0", "evaluation.fallback=0.5"], "no update goes by"),
        ("wheeled/maesn", ["evaluation.tune_after=0", "evaluation.rule=refit"], "no update goes by"),
        ("wheeled/maesn", ["evaluation.tune_after=0", "evaluation.step_hold=1"], "no update goes by"),
        ("wheeled/maesn", ["evaluation.tune_after=5"], "5, but there are 5 updates"),
        ("wheeled/maesn", ["evaluation.rule=refit", "evaluation.step_hold=1"], "evaluation.rule is refit"),
        ("wheeled/maesn", ["evaluation.adapt_steps=1", "evaluation.step_hold=1"], "one update has the full"),
        ("wheeled/maesn", ["evaluation.adapt_steps=0", "evaluation.rule=refit"], "there is no update"),
        ("wheeled/maesn", ["evaluation.step_decay=1.0", "evaluation.step_floor=0.1"], "its step_decay is 1"),
    ],
)
def test_what_does_nothing_is_refused(preset, sets, complaint, tmp_path):
    """Where the command line sets it; a file's is noted, one that says what is so anyway passes."""
    command = config.serving(preset)[0].experiment.algorithm.command
    path, _, _ = sets[-1].partition("=")
    message = refusal(command, preset, sets)
    assert message.startswith(f"{path}: found ") and message.endswith("; must be left out"), message
    assert complaint in message
    mine = tmp_path / "mine.toml"
    mine.write_text(f'extends = "{preset}"\n' + "\n".join(map(quoted, sets)))
    resolved = config.resolve(command, str(mine))
    assert any(complaint.split(";")[0] in note for note in resolved.notes)
    written = tmp_path / "config.toml"
    written.write_text(config.to_toml(resolved.experiment))
    assert config.load(written) == config.resolve(command, str(written)).experiment == resolved.experiment


def quoted(line):
    path, _, value = line.partition("=")
    return line if value in ("true", "false") or value[0] in "0123456789[" else f'{path} = "{value}"'


def test_presets_and_runs_hold_nothing_that_is_refused():
    """What one part of a preset makes idle in another is no fault of who uses it."""
    assert not [note for one in real() for note in one.notes]
    flags = {"hierarchy.skills": "z", "hierarchy.use": "start"}
    started = config.resolve("meta-train", "wheeled/hmrl", ["algorithm.name=ppo"], flags).experiment
    assert started.hierarchy.steps_per_skill == 10
    other = config.resolve("meta-train", "ant_goal/maesn", ["algorithm.outer=trust_region"]).experiment
    assert other.algorithm.clipped.epochs == 10
    pearl = config.resolve("meta-train", "wheeled/maml", ["algorithm.name=pearl"]).experiment
    assert pearl.evaluation.step_decay == 0.5
    again = config.with_evaluation(other, ["evaluation.rule=refit"], {"adapt_steps": 2, "episodes": None})
    assert again.evaluation.rule == "refit"


@pytest.mark.parametrize(
    ("preset", "sets", "complaint"),
    [
        ("wheeled/maesn", [RELABEL], "found 'relabel'; must be 'gradient' or 'refit' without skills"),
        ("wheeled/maml", [RELABEL], "found 'relabel'; must be 'gradient' or 'refit' without skills"),
        ("wheeled/skill_prior", [*SKILLS, "evaluation.rule=refit"], "must be 'relabel' with skill_prior"),
    ],
)
def test_a_search_needs_skills_and_a_learned_prior_a_search(preset, sets, complaint):
    message = refusal("meta-train", preset, sets)
    assert message.startswith("evaluation.rule: found ") and complaint in message


def test_a_first_batch_searches_without_an_update():
    sets = [*SKILLS, RELABEL, "evaluation.relabel.broad=0.1", "evaluation.adapt_steps=0"]
    assert config.resolve("meta-train", "wheeled/skill_prior", sets).experiment.evaluation.adapt_steps == 0


def test_actions_may_be_repeated_where_no_skill_runs():
    """As by a policy that starts as a skill, and not over skills."""
    sets = [*SKILLS, "training.action_repeat=5"]
    started = config.resolve("meta-train", "wheeled/ppo", [*sets, "hierarchy.use=start"]).experiment
    assert started.training.action_repeat == 5
    assert "action_repeat: found 5; must be 1" in refusal("meta-train", "wheeled/ppo", sets)


@pytest.mark.parametrize(
    ("horizon", "steps", "right"), [(20, 7, "5 or 10"), (20, 3, "2 or 4"), (20, 30, "20"), (7, 6, "1 or 7")]
)
def test_a_length_that_divides_no_episode_is_told_the_nearest_that_do(horizon, steps, right):
    sized = [f"family.horizon={horizon}"]
    told = (
        f"found {steps}, which does not divide the horizon of point, {horizon}; must be a divisor, such as "
    )
    for field, more in (("training.action_repeat", []), ("hierarchy.steps_per_skill", SKILLS)):
        found = refusal("meta-train", "point/smoke", [*sized, *more, f"{field}={steps}"])
        assert found == f"{field}: {told}{right}"

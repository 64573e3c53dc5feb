#!/bin/sh
# MAESN's protocol: meta-trained dense on a table of tasks, adapted to sparse test goals, beside its baselines
# LatentSpace (no inner update while training) and MAML.  Each adapts by its own update, and by a refit of the latent
# to all episodes so far (MAML has none).  Steps are their authors': MAESN's first two whole, then halved each time;
# LatentSpace's first three, of size 1, likewise; MAML's a half from the second on.  MAESN also trains for longer on the
# pusher and at the authors' time scale; on `pusher/maesn` it then imitates, too, the best of up to 2,000 episodes, and
# the one that trained for as long as the others tunes its policy in 5,000 (`scratch`, not meta-trained, in 2,000).  On
# the ant it also trains over each library of SKILLS, and explores as the arms of ../combination do.  On
# `wheeled/maesn` each is also evaluated with steps that halve from the second on.  Three seeds; makes the study's
# files.  On two cores: wheeled a quarter of an hour, wheeled@maesn twice that, ant_goal an hour and more, pusher
# three; the long trainings of ant_goal@maesn and pusher@maesn take minutes on a GPU, and hours there.
#
#   [SKILLS="RUN_DIR..."] sh experiments/studies/maesn/run.sh [FOLDER [PRESET...]]  # wheeled/maesn ant_goal/maesn ...
set -eu
here=$(dirname "$0")
out=${1:-runs/maesn}
[ $# -eq 0 ] || shift
presets=${*:-wheeled/maesn wheeled@maesn ant_goal/maesn ant_goal@maesn pusher/maesn pusher@maesn}

trained() { # ARM [hmrl's options]
  run=$out/$name/$1
  shift
  hmrl meta-train "$preset" --num-seeds 3 --run-dir "$run" --resume "$@"
}

refit() { # NAME [hmrl's options]
  file=$1.json
  shift
  hmrl eval "$run" --json --set evaluation.rule=refit "$@" >"$run/$file"
}

exploring() { # as the arms of ../combination do
  for split in test hidden; do
    refit exploring_$split --split $split --adapt-steps 10 --episodes 50 --set evaluation.imitation_steps=200 \
      --set evaluation.fallback=0.3 --set evaluation.late_fallback=0.5
  done
}

tuned() { # UPDATES: what refit and imitation have found is kept by tuning the policy; MAESN's authors make 100
  refit tuned --adapt-steps "$1" --episodes 50 --set evaluation.imitation_steps=200 --set evaluation.latent_std=3 \
    --set evaluation.tune_after=10
}

own_update() {
  hmrl eval "$run" --adapt-steps 10 --episodes 50
}

halved_at_once() { # by the schedule of runs before, which halves from the second step on
  hmrl eval "$run" --json --adapt-steps 10 --episodes 50 --set evaluation.step_hold=1 >"$run/halved_at_once.json"
}

evaluated() {
  [ "$name" != wheeled ] || halved_at_once
  refit refit --adapt-steps 10 --episodes 50
  own_update
}

arm() { # ARM [hmrl's options]
  trained "$@"
  evaluated
}

for preset in $presets; do
  name=${preset%/maesn}
  trained maesn
  case $name in
  ant_goal) exploring ;;
  pusher) tuned 100 ;;
  esac
  evaluated
  arm latent_space --set algorithm.inner_steps=0 --set algorithm.step_hold=3 \
    --set algorithm.mean_step_size=1 --set algorithm.log_std_step_size=1
  trained maml --set algorithm.name=maml --set evaluation.step_decay=0.5 --set evaluation.step_floor=0.5
  own_update
  case $name in
  pusher)
    trained maesn_long --set training.epochs=600
    refit imitation --adapt-steps 100 --episodes 20 --set evaluation.imitation_steps=200
    evaluated
    ;;
  pusher@maesn) arm maesn_long --set training.epochs=625 ;; # a million steps a task
  ant_goal@maesn) arm maesn_long --set training.epochs=877 ;; # 1.4 million
  ant_goal)
    for skills in ${SKILLS:-}; do
      trained "hmrl_$(basename "$skills")" --skills "$skills" --set hierarchy.steps_per_skill=5
      exploring
      evaluated
    done
    ;;
  esac
  python "$here/../shared/exploration.py" "$out/$name/exploration" $(dirname "$out/$name"/*/config.toml)
  if [ "$name" = pusher ]; then # a policy that has learned nothing: one update that may not move it
    trained scratch --set training.epochs=1 --set training.updates_per_epoch=1 \
      --set algorithm.trust_region.max_divergence=1e-12
    tuned 40
  fi
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"

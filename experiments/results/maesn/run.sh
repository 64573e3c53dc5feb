#!/bin/sh
# MAESN's protocol: meta-trained dense on a table of tasks, adapted to sparse test goals, beside its baselines
# LatentSpace (no inner update while training) and MAML.  Each adapts by its own update, and by a refit of the latent
# to all episodes so far (which leaves MAML, that has none, as it was).  Three seeds; writes the files beside this script.
# On two cores: wheeled a quarter of an hour, wheeled@maesn twice that, pusher and ant_goal an hour and more each.
#
#   sh experiments/results/maesn/run.sh [FOLDER [PRESET...]]   # wheeled/maesn wheeled@maesn ant_goal/maesn ...
set -eu
here=$(dirname "$0")
out=${1:-runs/maesn}
[ $# -eq 0 ] || shift
presets=${*:-wheeled/maesn wheeled@maesn ant_goal/maesn ant_goal@maesn pusher/maesn pusher@maesn}

arm() { # ARM [hmrl's options]
  arm=$1
  shift
  hmrl meta-train "$preset" --num-seeds 3 --run-dir "$out/$name/$arm" --resume "$@"
  hmrl eval "$out/$name/$arm" --adapt-steps 10 --episodes 50 --json --set evaluation.rule=refit \
    >"$out/$name/$arm/refit.json"
  hmrl eval "$out/$name/$arm" --adapt-steps 10 --episodes 50
  mkdir -p "$here/$name/$arm"
  for file in config.toml provenance.json metrics.jsonl eval/test-sparse.json refit.json; do
    cp "$out/$name/$arm/$file" "$here/$name/$arm"
  done
}

for preset in $presets; do
  name=${preset%/maesn}
  arm maesn
  arm latent_space --set algorithm.inner_steps=0
  arm maml --set algorithm.name=maml
  hmrl report "$out/$name/maesn" "$out/$name/latent_space" "$out/$name/maml" -o "$here/$name/curves.svg"
  python "$here/../exploration.py" "$here/$name/exploration" "$out/$name/maesn" "$out/$name/latent_space" "$out/$name/maml"
done
python "$here/gather.py" "$here"

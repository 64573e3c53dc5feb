#!/bin/sh
# What each part of ant_goal/diayn_ppo is worth: one changed at a time, a quarter of the training, two seeds.
#
#   sh experiments/studies/skill_libraries/trials.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/skills}

trial() { # NAME PRESET [hmrl's options]
  name=$1 preset=$2
  shift 2
  hmrl pretrain-skills "$preset" --num-seeds 2 --seed 100 --set training.epochs=65 --run-dir "$out/trials/$name" --resume "$@"
}

trial preset ant_goal/diayn_ppo
trial fixed_rate "$here/fixed_rate.toml"
trial perceptron ant_goal/diayn_ppo --set algorithm.discriminator=mlp
trial perceptron_xy ant_goal/diayn_ppo --set algorithm.discriminator=mlp --set algorithm.discriminate=xy
trial episodes_128 ant_goal/diayn_ppo --set algorithm.episodes_per_update=128 --set algorithm.ppo.minibatches=16 \
  --set training.epochs=17
trial passes_8 ant_goal/diayn_ppo --set algorithm.ppo.epochs=8
trial no_entropy ant_goal/diayn_ppo --set algorithm.ppo.entropy_coefficient=0.0
trial discount_99 ant_goal/diayn_ppo --set algorithm.ppo.discount=0.99

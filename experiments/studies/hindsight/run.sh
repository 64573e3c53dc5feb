#!/bin/sh
# Skills that are places, by three learners: PPO, soft actor-critic, and soft actor-critic with hindsight.  Ten minutes
# on two cores.
#
#   sh experiments/studies/hindsight/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/hindsight}

arm() { # NAME PRESET [hmrl's options]
  run=$out/$1
  preset=$2
  shift 2
  hmrl pretrain-skills "$preset" --num-seeds 3 --run-dir "$run" --resume "$@" >/dev/null
}

sac='--set algorithm.learner=sac --set algorithm.episodes_per_update=16 --set algorithm.sac.hidden=[128,128]
  --set algorithm.sac.learning_rate=1e-3 --set algorithm.sac.discount=0.97 --set algorithm.sac.entropy_coefficient=0.02'

arm wheeled/ppo wheeled/vgcrl
arm wheeled/sac wheeled/vgcrl_sac --set algorithm.hindsight=0
arm wheeled/sac_hindsight wheeled/vgcrl_sac
ant="$sac --set algorithm.gradient_steps=200 --set training.epochs=20 --set training.updates_per_epoch=20"
arm ant/ppo ant_goal/vgcrl
arm ant/sac ant_goal/vgcrl $ant --set algorithm.hindsight=0
arm ant/sac_hindsight ant_goal/vgcrl $ant
PYTHONPATH="$here/.." python "$here/gather.py" "$out"

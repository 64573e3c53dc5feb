#!/bin/sh
# Skills that are places, by three learners: PPO, soft actor-critic, and soft actor-critic with hindsight.  Five
# minutes on two cores.
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

arm wheeled/ppo wheeled/vgcrl
arm wheeled/sac wheeled/vgcrl_sac --set algorithm.hindsight=0
arm wheeled/sac_hindsight wheeled/vgcrl_sac
PYTHONPATH="$here/.." python "$here/gather.py" "$out"

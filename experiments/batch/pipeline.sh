#!/bin/sh
# The whole pipeline for one seed: skills, how to explore with them, and whether that finds the rewards of test tasks.
# Each command goes on where an earlier attempt stopped, so start it as often as it takes: 75 says that a signal
# stopped it after a checkpoint.  Runs go to FOLDER/seed<SEED>; OPTIONs are those of `hmrl meta-train`.
#
#   sh experiments/batch/pipeline.sh FOLDER SEED SKILL_PRESET META_PRESET [OPTION...]
#   sh experiments/batch/pipeline.sh runs/ant 0 ant_goal/vgcrl ant_goal/hmrl
set -eu
out=$1/seed$2
seed=$2
skills=$3
meta=$4
shift 4
trap : TERM USR1 # are for hmrl, which gets them too; this shell waits for it to exit
hmrl pretrain-skills "$skills" --seed "$seed" --run-dir "$out/skills" --resume
hmrl meta-train "$meta" --skills "$out/skills" --seed "$seed" --run-dir "$out/meta" --resume "$@"
hmrl eval "$out/meta" --split test --reward sparse

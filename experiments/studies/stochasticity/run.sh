#!/bin/sh
# Chance where it may matter for a search over places: the entropy coefficient while skills are learned, skills that
# are sampled at test time, and noise in the choice of places.  Three seeds; a quarter of an hour on two cores.
#
#   sh experiments/studies/stochasticity/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/stochasticity}
family=sparse_point
fresh=20261208

measured() { # RUN NAME [hmrl's options]: once for each split
  for split in test hidden; do
    file=$1/$split-$2.json
    [ -s "$file" ] && continue
    (run=$1 && shift 2 && hmrl eval "$run" --json --split $split --adapt-steps 15 --set evaluation.split_seed=$fresh \
      --set evaluation.relabel.stops=1 "$@") >"$file.part"
    mv "$file.part" "$file"
  done
}

arm() { # NAME SKILLS [hmrl's options]: meta-trained over these skills
  arm=$out/$family/$1
  skills=$2
  shift 2
  hmrl meta-train "$family/skill_prior" --skills "$skills" --num-seeds 3 --run-dir "$arm" --resume \
    --set family.sector=0.125 --set algorithm.tasks_per_update=40 --set algorithm.batches=25 "$@" >/dev/null
}

for entropy in 0 0.001 0.01 0.1; do
  skills=$out/skills/$family-$entropy
  hmrl pretrain-skills "$family/vgcrl" --num-seeds 3 --run-dir "$skills" --resume \
    --set algorithm.ppo.entropy_coefficient=$entropy >/dev/null
  arm "entropy_$entropy" "$skills"
  measured "$out/$family/entropy_$entropy" mean
done
arm sampled "$out/skills/$family-0.001" --set hierarchy.stochastic=true
measured "$out/$family/sampled" sampled
for noise in 0.3 1 3; do
  measured "$out/$family/entropy_0.001" "noise_$noise" --set evaluation.relabel.noise=$noise
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"

#!/bin/sh
# What an accelerator gives, in ten minutes: equal bytes after a kill, what deterministic operations cost, and the
# speed of skills, meta-training and evaluation with many environments and seeds.  Writes OUT/table.md.
#
#   sh experiments/bench/gpu.sh [OUT]
#
# EPISODES and SEEDS are lists of sizes; smaller ones try the script on a CPU.
set -eu
out=${1:-runs/gpu}
episodes=${EPISODES:-32 512 4096}
seeds=${SEEDS:-1 8}
mkdir -p "$out"
table=$out/table.md

arrays() { # RUN: the hash of the arrays in its last checkpoint
  python - "$1" <<'PYTHON'
import sys
from pathlib import Path
from hmrl_cli.storage import checkpoints
print(*checkpoints.fingerprint(Path(sys.argv[1]) / "checkpoints"))
PYTHON
}

speed() { # RUN: median of the steps per second of its epochs but the first
  awk '/steps\/s/ { if (n++) print $(NF - 1) }' "$1/events.log" | sort -n |
    awk '{ x[NR] = $1 } END { print x[int((NR + 1) / 2)] }'
}

row() { printf '| %s | %s |\n' "$1" "$2" | tee -a "$table"; }

train() { # NAME COMMAND PRESET [hmrl's options]
  run=$out/$1
  command=$2
  preset=$3
  shift 3
  rm -rf "$run"
  hmrl "$command" "$preset" --run-dir "$run" -q --set training.checkpoint_every=1 "$@" >/dev/null
}

printf '| what | number |\n|---|---|\n' >"$table"
row devices "$(python -c 'import jax; print(len(jax.devices()), jax.devices()[0].device_kind)')"

# equal bytes: a run that is killed after its second epoch and resumed, with operations in a fixed order
short='--set training.epochs=6 --set training.updates_per_epoch=2'
fixed=--xla_gpu_deterministic_ops=true
case $(python -c 'import jax; print(jax.default_backend())') in
gpu) ;;
*) fixed= ;;
esac
train free pretrain-skills ant_goal/vgcrl $short
(
  export XLA_FLAGS="${XLA_FLAGS:-} $fixed"
  train whole pretrain-skills ant_goal/vgcrl $short
  rm -rf "$out/killed"
  hmrl pretrain-skills ant_goal/vgcrl $short --set training.checkpoint_every=1 --run-dir "$out/killed" -q >/dev/null &
  while [ ! -d "$out/killed/checkpoints/2" ]; do sleep 0.1; done
  kill -9 $!
  hmrl resume "$out/killed" -q >/dev/null
)
[ "$(arrays "$out/whole")" = "$(arrays "$out/killed")" ] && same=yes || same=no
row "equal bytes after kill -9 and resume, deterministic" $same
row "steps/s, deterministic / free" "$(speed "$out/whole") / $(speed "$out/free")"

for count in $episodes; do
  for number in $seeds; do
    train skills pretrain-skills ant_goal/vgcrl --num-seeds "$number" --set training.epochs=4 \
      --set training.updates_per_epoch=2 --set algorithm.episodes_per_update="$count"
    row "skills of the ant, $count episodes, $number seeds, steps/s" "$(speed "$out/skills")"
  done
done
for number in $seeds; do
  train meta meta-train ant_goal/maesn --num-seeds "$number" --set training.epochs=4 \
    --set training.updates_per_epoch=2
  row "MAESN on the ant, $number seeds, steps/s" "$(speed "$out/meta")"
done
began=$(date +%s)
hmrl eval "$out/meta" --split test --reward sparse --num-tasks 40 -q >/dev/null
row "evaluation of that, 40 tasks, s with compilation" "$(($(date +%s) - began))"

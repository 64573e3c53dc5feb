#!/bin/sh
# What an accelerator gives, in ten minutes: equal bytes after a kill, what deterministic operations cost, and the
# speed of skills, meta-training and evaluation with many environments and seeds.  Writes OUT/table.md, row by row.
#
#   sh experiments/bench/gpu.sh [OUT]
#
# EPISODES and SEEDS are lists of sizes, SKILLS and META are presets, and PYTHON is the interpreter.  Smaller ones
# try the script on a CPU.  What fails has a row that says so, and the rows after it follow.
set -u
out=${1:-runs/gpu}
episodes=${EPISODES:-32 512 4096}
seeds=${SEEDS:-1 8}
skills=${SKILLS:-ant_goal/vgcrl}
meta=${META:-ant_goal/maesn}
python=${PYTHON:-python}
mkdir -p "$out" || exit
table=$out/table.md
failed=0

hmrl() { "$python" -m hmrl_cli "$@"; }

arrays() { # RUN: epoch and hash of the arrays in its last checkpoint
  "$python" -c 'import sys; from pathlib import Path; from hmrl_cli.storage import checkpoints
print(*checkpoints.fingerprint(Path(sys.argv[1]) / "checkpoints"))' "$1"
}

speed() { # RUN: median of the steps per second of its epochs but the first
  awk '/steps\/s/ { if (n++) print $(NF - 1) }' "$1/events.log" | sort -n |
    awk '{ x[NR] = $1 } END { print x[int((NR + 1) / 2)] }'
}

row() { printf '| %s | %s |\n' "$1" "$2" | tee -a "$table"; }

failure() { # WHAT CODE
  failed=1
  row "$1" "failed, code $2"
}

train() { # NAME COMMAND PRESET [hmrl's options]: into OUT/NAME, with a checkpoint after every epoch
  run=$out/$1
  command=$2
  preset=$3
  shift 3
  rm -rf "$run"
  hmrl "$command" "$preset" --run-dir "$run" -q --set training.checkpoint_every=1 "$@" >/dev/null
}

killed_and_resumed() { # the options of `train`: into OUT/killed
  rm -rf "$out/killed"
  # not by the function, whose process would be a shell
  "$python" -m hmrl_cli pretrain-skills "$skills" --run-dir "$out/killed" -q --set training.checkpoint_every=1 \
    "$@" >/dev/null &
  process=$!
  until grep -q 'epoch [0-9]*: checkpoint' "$out/killed/events.log" 2>/dev/null; do
    kill -0 $process 2>/dev/null || break # it has ended
    sleep 0.1
  done
  kill -9 $process 2>/dev/null
  wait $process 2>/dev/null # until its lock and its memory are free
  [ $? -eq 137 ] || return 1 # it was not killed in time
  hmrl resume "$out/killed" -q >/dev/null
}

printf '| what | number |\n|---|---|\n' >"$table"
devices=$("$python" -c 'import jax; print(len(jax.devices()), jax.devices()[0].device_kind)') || exit
backend=$("$python" -c 'import jax; print(jax.default_backend())') || exit
row devices "$devices"

# equal bytes: a run that is killed and resumed, with operations in a fixed order
fixed=
[ "$backend" = gpu ] && fixed=--xla_gpu_deterministic_ops=true
short='--set training.epochs=20 --set training.updates_per_epoch=2'
free_flags=${XLA_FLAGS:-}
export XLA_FLAGS="$free_flags $fixed"
# shellcheck disable=SC2086  # several words
if train whole pretrain-skills "$skills" $short && killed_and_resumed $short; then
  [ "$(arrays "$out/whole")" = "$(arrays "$out/killed")" ] && same=yes || same=no
  row "equal bytes after kill -9 and resume, deterministic" $same
else
  failure "equal bytes after kill -9 and resume, deterministic" $?
fi
export XLA_FLAGS="$free_flags"
# shellcheck disable=SC2086
if train free pretrain-skills "$skills" $short; then
  row "$skills, steps/s, deterministic / free" "$(speed "$out/whole") / $(speed "$out/free")"
else
  failure "$skills" $?
fi

for number in $seeds; do
  what="$meta, $number seeds"
  train meta meta-train "$meta" --num-seeds "$number" --set training.epochs=4 --set training.updates_per_epoch=2
  code=$?
  [ $code -eq 0 ] && row "$what, steps/s" "$(speed "$out/meta")" || failure "$what" $code
done
what='evaluation of that, 40 tasks'
began=$(date +%s)
hmrl eval "$out/meta" --split test --reward sparse --num-tasks 40 >/dev/null
code=$?
[ $code -eq 0 ] && row "$what, s with compilation" "$(($(date +%s) - began))" || failure "$what" $code

for count in $episodes; do
  for number in $seeds; do
    what="$skills, $count episodes, $number seeds"
    train skills pretrain-skills "$skills" --num-seeds "$number" --set training.epochs=4 \
      --set training.updates_per_epoch=2 --set algorithm.episodes_per_update="$count"
    code=$?
    [ $code -eq 0 ] && row "$what, steps/s" "$(speed "$out/skills")" || failure "$what" $code
  done
done
exit $failed

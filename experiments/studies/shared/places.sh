# Functions of studies of skills that are places.  They read the variables out, seeds, fresh, batches and stops, and
# `library` sets skills.

library() { # NAME PRESET [hmrl's options]
  skills=$out/skills/$1
  preset=$2
  shift 2
  hmrl pretrain-skills "$preset" --num-seeds $seeds --run-dir "$skills" --resume "$@" >/dev/null
}

measured() { # FILE [hmrl's options]: once
  file=$1
  shift
  [ -s "$file" ] && return
  hmrl eval "$run" --json --adapt-steps $batches --set evaluation.split_seed=$fresh "$@" >"$file.part"
  mv "$file.part" "$file"
}

prior() { # NAME FAMILY [hmrl's options]: sets run
  run=$out/$1
  family=$2
  shift 2
  hmrl meta-train "$family/skill_prior" --skills "$skills" --num-seeds $seeds --run-dir "$run" --resume \
    --set algorithm.tasks_per_update=40 --set algorithm.batches=25 "$@" >/dev/null
}

world() { # NAME FAMILY [hmrl's options]
  prior "$@"
  several="--set evaluation.relabel.stops=$stops"
  for split in test hidden; do
    measured "$run/$split-both.json" --split $split $several
    measured "$run/$split-learned.json" --split $split $several --set evaluation.relabel.broad=0
    measured "$run/$split-broad.json" --split $split $several --set evaluation.relabel.broad=1
  done
}

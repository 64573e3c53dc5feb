#!/bin/sh
# {skills or actions} x {meta-learned or not} x {stochastic or not}, and baselines: 100 sparse episodes for each goal,
# of a draw of goals of their own (split_seed).  Training goals lie on an eighth of a ring or arena, hidden ones on the
# rest; in the corridor, behind one wall and behind the other.  Every arm decides equally often.  The ant, whose physics
# is slow, has the arms that matter most.
#
#   sh experiments/studies/ablation/run.sh [FOLDER [WORLD...]]
#
# A WORLD is sparse_point, reacher, wheeled, ant_goal, half_cheetah_vel or ant_maze.  A finished part is not repeated.
set -eu
here=$(dirname "$0")
out=${1:-runs/ablation}
[ $# -gt 0 ] && shift
worlds=${*:-sparse_point reacher wheeled ant_goal half_cheetah_vel ant_maze}

trained() { # ARM PRESET [hmrl's options]
  run=$out/$world/$1
  preset=$2
  shift 2
  hmrl meta-train "$preset" --num-seeds "$seeds" --run-dir "$run" --resume $task "$@" >/dev/null
}

measured() { # NAME SPLITS [hmrl's options]: once for each split
  name=$1
  splits=$2
  shift 2
  for split in $splits; do
    file=$run/$split-$name.json
    [ -s "$file" ] && continue
    hmrl eval "$run" --json --split "$split" --set evaluation.split_seed=$fresh "$@" >"$file.part"
    mv "$file.part" "$file"
  done
}

places() { # ARM [hmrl's options]: both priors, skills without meta-learning, the learned prior alone
  arm=$1
  shift
  trained "$arm" "$family/skill_prior" --skills "$out/$world/skills" --set algorithm.tasks_per_update=40 \
    --set algorithm.batches=25 "$@"
  for broad in both=0.5 none=1 learned=0; do
    measured "${broad%=*}" "test hidden" --adapt-steps 25 --episodes 4 --set "evaluation.relabel.broad=${broad#*=}" \
      --set evaluation.relabel.stops=1 $noise
  done
}

inner() { # ARM PRESET [hmrl's options]: its own update, and exploring; the better one on training goals counts
  trained "$@"
  fixed="--adapt-steps 5 --episodes 20"
  own="--set evaluation.rule=gradient --set evaluation.fallback=0 --set evaluation.late_fallback=0
    --set evaluation.imitation_steps=0"
  refit="--set evaluation.rule=refit --set evaluation.imitation_steps=200 --set evaluation.fallback=0.3
    --set evaluation.late_fallback=0.5"
  measured own "train test hidden" $fixed $own
  measured exploring "train test hidden" $fixed $refit
  case $1 in maesn*)
    measured own_still "test hidden" $fixed --set evaluation.latent_std=0.01 $own
    measured exploring_still "test hidden" $fixed $refit --set evaluation.latent_std=0.01
    measured oracle "test hidden" $fixed $own --reward dense # it sees the distance to the goal
    ;;
  esac
}

scratch() { # ARM [hmrl's options]: one update elsewhere, then the test goal's episodes are all that it sees
  arm=$1
  shift
  trained "$arm" "$ppo" --set training.epochs=1 --set training.updates_per_epoch=1 $repeat "$@"
  measured scratch "test hidden" --adapt-steps 25 --episodes 4 --set evaluation.tune_after=0
}

few_baselines() {
  inner maesn "$maesn" $repeat $flat
  scratch ppo
  scratch ppo_rnd --set bonus.name=rnd --set bonus.weight=$rnd --set bonus.observe=xy
}

baselines() {
  few_baselines
  inner maml "$maesn" $repeat $flat --set algorithm.name=maml
  scratch ppo_still --set algorithm.ppo.init_std=0.05 --set algorithm.ppo.entropy_coefficient=0
  scratch ppo_icm --set bonus.name=icm --set bonus.weight=$icm
  scratch ppo_counts --set bonus.name=counts --set bonus.weight=$counts --set bonus.cell=$cell
  scratch ppo_gain --set bonus.name=information_gain --set bonus.weight=$gain --set bonus.length_scale=$length
}

with_memory() {
  trained rl2 sparse_point/rl2 --set family.name=$family $repeat $rl2
  measured own "test hidden" --adapt-steps 100 --episodes 1
  [ "$world" = sparse_point ] || return 0 # elsewhere PEARL has not been run
  trained pearl sparse_point/pearl --set family.name=$family $repeat
  measured own "test hidden" --adapt-steps 5 --episodes 20
}

for world in $worlds; do
  family=$world ppo=$world/ppo library= flat= rl2= fresh=20261129
  case $world in
  sparse_point)
    seeds=5 k=1 task='--set family.sector=0.125' maesn=sparse_point/maesn
    icm=0.1 rnd=0.03 counts=0.1 cell=0.1 gain=0.03 length=0.25
    ;;
  reacher) # settings of bonuses are those of the sparse point, and were not tuned
    seeds=5 k=5 task='--set family.sector=0.125' maesn=reacher/maesn
    icm=0.1 rnd=0.03 counts=0.1 cell=0.02 gain=0.03 length=0.25
    ;;
  wheeled)
    seeds=3 k=5 maesn=wheeled/demo_flat flat='--set training.epochs=100'
    task='--set family.sector=0.125 --set family.goals=arena --set family.goal_radius=6 --set family.horizon=300'
    task="$task --set family.sparse_radius=0.8"
    library='--set algorithm.reach=6 --set algorithm.redraw=0.006 --set family.horizon=300 --set training.epochs=30'
    rl2='--set training.epochs=30'
    icm=1 rnd=1 counts=0.3 cell=0.25 gain=1 length=0.5
    ;;
  ant_goal)
    seeds=3 k=5 task='--set family.sector=0.125' maesn=ant_goal/explore rnd=0.1
    ;;
  half_cheetah_vel) # goals are speeds; hidden ones are higher than those of training
    seeds=3 k=5 fresh=20261210 ppo=ant_goal/ppo task="--set family.name=$family" maesn=half_cheetah_vel/maesn
    flat='--set training.epochs=50'
    ;;
  ant_maze) # its draw is another one: goals of 20261129 and 20261202 were seen while its skills were being made
    seeds=3 k=5 fresh=20261203 task='--set family.layout=corridor --set family.horizon=400'
    library="$task --set algorithm.center=[] --set algorithm.reach=[5.5,1.7] --set algorithm.redraw=0.004
      --set algorithm.ppo.entropy_coefficient=0.003"
    ;;
  *) echo "no world $world" >&2 && exit 2 ;;
  esac
  repeat="--set training.action_repeat=$k"
  hmrl pretrain-skills "$family/vgcrl" --num-seeds $seeds --run-dir "$out/$world/skills" --resume $library >/dev/null
  noise='--set evaluation.relabel.noise=0'
  places mean --set hierarchy.stochastic=false
  case $world in
  ant_goal)
    few_baselines
    inner maml "$maesn" $repeat --set algorithm.name=maml
    ;;
  half_cheetah_vel)
    inner maesn "$maesn" $repeat $flat
    scratch ppo
    ;;
  ant_maze) ;;
  *)
    noise='--set evaluation.relabel.noise=0.5'
    places sampled --set hierarchy.stochastic=true
    baselines
    with_memory
    ;;
  esac
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"

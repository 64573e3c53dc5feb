#!/bin/sh
# The main job, small but real: skills without reward, where to look with them learned on related tasks, and a search
# for goals never trained on, with sparse reward.  Beside it the same search without meta-learning, and MAESN without
# skills, which decides as often.  Each has 16 episodes of a goal.
#
#   sh experiments/demo.sh [FOLDER]
set -eu
out=${1:-runs/demo-$(date +%Y%m%d-%H%M%S)}
mkdir -p "$out"
began=$(date +%s)

echo "1/4  Skills of a wheeled robot, found without reward (and, in the background, flat MAESN)" >&2
hmrl meta-train wheeled/demo_flat --run-dir "$out/maesn" -q >"$out/maesn.log" 2>&1 &
flat=$!
trap 'kill $flat 2>/dev/null || true' EXIT
hmrl pretrain-skills wheeled/demo --run-dir "$out/skills" >/dev/null

echo "2/4  HMRL: where goals are, learned over these skills with sparse reward" >&2
hmrl meta-train wheeled/demo --skills "$out/skills" --run-dir "$out/hmrl" >/dev/null
hmrl meta-train wheeled/demo --skills "$out/skills" --run-dir "$out/skills_only" -q --set training.epochs=1 \
  --set algorithm.batches=1 --set evaluation.relabel.broad=1 >/dev/null
wait $flat || { cat "$out/maesn.log" >&2; exit 1; }
trap - EXIT

for split in test hidden; do
  echo "$([ $split = test ] && echo 3/4 || echo 4/4)  Searching $split goals, with sparse reward" >&2
  hmrl eval "$out/hmrl" "$out/skills_only" "$out/maesn" --split $split --reward sparse >/dev/null
done

echo >&2
hmrl compare "$out/hmrl" "$out/skills_only" "$out/maesn"
hmrl report "$out/hmrl" "$out/skills_only" "$out/maesn" -o "$out/curves.svg" >/dev/null
echo "figures: $out/curves.svg, $out/skills/skills.svg"
echo "report:  $(hmrl report "$out/hmrl" "$out/skills_only" "$out/maesn" "$out/skills" -o "$out/report.html")"
echo "took $(($(date +%s) - began)) s" >&2

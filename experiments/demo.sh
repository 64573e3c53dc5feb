#!/bin/sh
# The main job, small but real: skills without reward, exploration meta-learned over them, and MAESN without
# skills beside it, which decides as often.  Both are evaluated with sparse reward on goals never trained on.
#
#   sh experiments/demo.sh [FOLDER]
set -eu
out=${1:-runs/demo-$(date +%Y%m%d-%H%M%S)}
mkdir -p "$out"
began=$(date +%s)

echo "1/4  Skills of a wheeled robot, found without reward (and, in the background, flat MAESN)" >&2
hmrl meta-train wheeled/demo --set training.action_repeat=10 --run-dir "$out/maesn" -q >"$out/maesn.log" 2>&1 &
flat=$!
trap 'kill $flat 2>/dev/null || true' EXIT
hmrl pretrain-skills wheeled/demo --run-dir "$out/skills" >/dev/null

echo "2/4  HMRL: how to explore with these skills, meta-learned with MAESN" >&2
hmrl meta-train wheeled/demo --skills "$out/skills" --run-dir "$out/hmrl" >/dev/null
wait $flat || { cat "$out/maesn.log" >&2; exit 1; }
trap - EXIT

for split in test hidden; do
  echo "$([ $split = test ] && echo 3/4 || echo 4/4)  Exploring for $split goals, with sparse reward" >&2
  hmrl eval "$out/hmrl" "$out/maesn" --split $split --reward sparse --set evaluation.rule=refit \
    --set evaluation.imitation_steps=200 --set evaluation.fallback=0.3 --set evaluation.late_fallback=0.5 >/dev/null
done

echo >&2
hmrl compare "$out/hmrl" "$out/maesn"
hmrl report "$out/hmrl" "$out/maesn" -o "$out/curves.svg" >/dev/null
echo "figures: $out/curves.svg, $out/skills/skills.svg"
echo "report:  $(hmrl report "$out/hmrl" "$out/maesn" "$out/skills" -o "$out/report.html")"
echo "took $(($(date +%s) - began)) s" >&2

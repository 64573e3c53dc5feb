#!/bin/sh
# {skills or actions} x {meta-learned or not} x {stochastic or not}, and baselines: 100 sparse episodes for each goal.
#
#   sh experiments/studies/ablation/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"

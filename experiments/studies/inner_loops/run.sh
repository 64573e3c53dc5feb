#!/bin/sh
# Ways to meta-train MAML on 2-D navigation, at equal episodes and outer steps; makes the study's files.
#
#   sh experiments/studies/inner_loops/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"

#!/bin/sh
# Outer steps of MAML and MAESN at equal episodes, on the wheeled robot; makes the study's files.  A quarter of an hour
# on two cores.
#
#   sh experiments/studies/outer_steps/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"

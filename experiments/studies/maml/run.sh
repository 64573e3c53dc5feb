#!/bin/sh
# MAML on 2-D navigation, five seeds: makes the study's files.  Some twenty minutes on two cores.
#
#   sh experiments/studies/maml/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"

#!/bin/sh
# Running tasks of the literature, meta-trained and tested on dense reward.
#
#   sh experiments/studies/locomotion/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"

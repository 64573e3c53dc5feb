#!/bin/sh
# Does an episode that goes to several places, one after another, find a sparse reward sooner?
#
#   sh experiments/studies/tours/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"

#!/bin/sh
# Skill libraries without reward.  On one core: the wheeled robot two minutes a library, the others ten to twenty.
#
#   sh experiments/studies/skill_libraries/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"

#!/bin/sh
# What adaptation comes to in 2,000 episodes of a task, where the policy is tuned to it after it has explored; makes the
# study's files.  On two cores the wheeled robot takes half an hour for each library, and the ant a quarter of an hour
# for each arm and split, beside training.
#
#   sh experiments/studies/many_episodes/run.sh [FOLDER]
set -eu
. "$(dirname "$0")/../shared/suite.sh"

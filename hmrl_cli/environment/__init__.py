"""Episodes: rollouts, compositions of families, features and frames."""

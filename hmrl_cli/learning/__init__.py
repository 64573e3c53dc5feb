"""Building blocks of learners: networks, distributions, returns, PPO and SAC."""

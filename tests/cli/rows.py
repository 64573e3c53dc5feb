"""Rows of a comparison."""

ROW = {
    "run": "hmrl",
    "split": "test",
    "reward": "sparse",
    "seeds": 3,
    "env_steps": 100_000,
    "flat": 148.95,
    "flat_success": 0.1,
    "flat_reached": 0.0,
    "feasible": 321.83,
    "before": 150.2,
    "return": "239.4 [201.2, 250.1]",
    "success": "0.61 [0.48, 0.74]",
    "reached": "0.93 [0.83, 0.97]",
    "fraction": "0.56 [0.46, 0.69]",
    "adaptation": "rule refit, imitation_steps 200, fallback 0.3",
}


OTHER = ROW | {"run": "maesn_repeat", "split": "hidden", "before": -1234.5, "fraction": "0.10 [0.02, 0.17]"}

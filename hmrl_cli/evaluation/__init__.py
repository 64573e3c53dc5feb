"""How good it is: numbers alone, without disk or screen."""

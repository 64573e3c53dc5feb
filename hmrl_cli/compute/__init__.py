"""Programs and devices: epochs, sharing of work, finiteness."""

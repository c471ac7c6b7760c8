"""The second floor, a network: data, models and training; iterative magnitude pruning and its record; sweeps."""

"""The third floor, a checkpoint: the layers of any network, how far each can be pruned, and the command line."""

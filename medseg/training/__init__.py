"""Plan and prepared cases -> a trained model in a run folder."""

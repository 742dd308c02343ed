"""Train blocks of runs and write their records."""

#: What each writes, and the package beside Lightning that it needs.
LOGGERS = {
    "csv": ("a file metrics.csv per block", ""),
    "tensorboard": ("for tensorboard --logdir RESULTS/logs/tensorboard", "tensorboard"),
    "wandb": ("for Weights & Biases; WANDB_MODE=offline needs no network and no account", "wandb"),
}

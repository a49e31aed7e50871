"""One process of a distributed run: MODE OUT, with TF_CONFIG for several workers."""

from __future__ import annotations

import json
import sys

import tensorflow as tf


def main(mode: str, out: str) -> None:
    if mode == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    else:
        tf.distribute.MultiWorkerMirroredStrategy()  # before anything else of TF

    from claimpt_tf.training.choices import PretrainConfig
    from claimpt_tf.training.pretrain import pretrain
    from tests.training.transformed import source

    lengths = [6, 9, 12, 7, 30, 3, 15, 22] * 12
    made = pretrain(
        source(lengths),
        source(lengths, seed=1),
        [f"ICD10CM:{letter}{n:02d}" for letter in "JK" for n in range(20)],
        40,
        PretrainConfig(
            preset="tiny", epochs=2, batch_size=8, dates=2, distribution=mode
        ),
    )
    with open(out, "w") as file:
        weights = [float(tf.reduce_sum(w)) for w in made.model.backbone.get_weights()]
        json.dump({"history": made.history, "weights": weights}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])

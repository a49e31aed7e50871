"""`claimpt` in a process of several devices: COUNT ARGUMENTS…"""

from __future__ import annotations

import sys

import tensorflow as tf

from claimpt_tf.cli import main

if __name__ == "__main__":
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * int(sys.argv[1])
    )
    sys.argv[1:] = sys.argv[2:]
    main()

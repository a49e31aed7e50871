"""Driver of LastServed: what was served since makes a new execution."""

from __future__ import annotations

from typing import Any, Final

from tfx.dsl.components.base import base_driver
from tfx.orchestration.portable import base_driver as portable
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration.driver_output_pb2 import DriverOutput
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.last_served.executor import last_served

VERSION: Final = "version"


class Driver(base_driver.BaseDriver, portable.BaseDriver):
    """Adds the version that will be found to the properties, and so to the cache's key.

    Kubeflow runs no drivers; there the component is kept out of the cache.
    """

    def __init__(self, metadata: Any) -> None:
        base_driver.BaseDriver.__init__(self, metadata)
        portable.BaseDriver.__init__(self, metadata)

    def run(self, execution_info: ExecutionInfo) -> DriverOutput:
        """Looks where models are served."""
        given = execution_info.exec_properties
        candidate = artifact_utils.get_single_uri(
            execution_info.input_dict["candidate"]
        )
        version = last_served(
            given["served_at"], given["task"], path_utils.serving_model_path(candidate)
        )
        result = DriverOutput()
        for name, value in {**given, VERSION: version or ""}.items():
            result.exec_properties[name].string_value = value
        return result

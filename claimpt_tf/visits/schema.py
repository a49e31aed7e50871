"""The curated schema of patient records and of labelled examples."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

SCHEMA_PATH = Path(__file__).with_name("schema.pbtxt")

_LABELLED = """
feature {
  name: "index_day"
  type: INT
  shape {}
  presence { min_fraction: 1.0 min_count: 1 }
}
feature {
  name: "label"
  type: INT
  shape {}
  presence { min_fraction: 1.0 min_count: 1 }
  int_domain { name: "label" min: 0 }
  not_in_environment: "SERVING"
}
feature {
  name: "label_value"
  type: FLOAT
  shape {}
  presence { min_fraction: 1.0 min_count: 1 }
  float_domain { name: "label_value" disallow_nan: true disallow_inf: true }
  not_in_environment: "SERVING"
}
feature {
  name: "label_categories"
  type: BYTES
  value_count { min: 0 }
  presence { min_fraction: 1.0 min_count: 1 }
  not_in_environment: "SERVING"
}
feature {
  name: "label_row"
  type: INT
  shape {}
  presence { min_fraction: 1.0 min_count: 1 }
  int_domain { name: "label_row" min: -1 }
  not_in_environment: "SERVING"
}
feature {
  name: "visit_outcome"
  type: INT
  value_count { min: 0 }
  presence { min_fraction: 1.0 min_count: 1 }
  int_domain { name: "visit_outcome" min: 0 max: 1 }
  not_in_environment: "SERVING"
}
feature {
  name: "past_days"
  type: INT
  value_count { min: 0 }
  presence { min_fraction: 1.0 min_count: 1 }
  not_in_environment: "SERVING"
}
default_environment: "TRAINING"
default_environment: "SERVING"
tensor_representation_group {
  key: ""
  value {
    tensor_representation {
      key: "index_day"
      value { dense_tensor { column_name: "index_day" shape {} } }
    }
    tensor_representation {
      key: "label"
      value { dense_tensor { column_name: "label" shape {} } }
    }
    tensor_representation {
      key: "label_value"
      value { dense_tensor { column_name: "label_value" shape {} } }
    }
    tensor_representation {
      key: "label_categories"
      value {
        ragged_tensor {
          feature_path { step: "label_categories" }
          row_partition_dtype: INT64
        }
      }
    }
    tensor_representation {
      key: "label_row"
      value { dense_tensor { column_name: "label_row" shape {} } }
    }
    tensor_representation {
      key: "visit_outcome"
      value {
        ragged_tensor {
          feature_path { step: "visit_outcome" }
          row_partition_dtype: INT64
        }
      }
    }
    tensor_representation {
      key: "past_days"
      value {
        ragged_tensor {
          feature_path { step: "past_days" }
          row_partition_dtype: INT64
        }
      }
    }
  }
}
"""


def load_schema() -> schema_pb2.Schema:
    """The schema of a patient record, as `schema.pbtxt` in this package states it."""
    return text_format.Parse(SCHEMA_PATH.read_text(), schema_pb2.Schema())


def labelled_schema() -> schema_pb2.Schema:
    """The schema of a labelled example: the record's plus what CohortGen adds.

    `index_day`, `label`, `label_value` and `label_row` are scalars,
    `label_categories` is a list of names, `visit_outcome` has one 0 or 1 a visit,
    `past_days` are earlier days of the kind (claimpt_tf.tasks.past_days); all
    but `index_day` are absent in the environment SERVING. docs/tasks.md says what they
    hold for each kind of label.
    """
    schema = load_schema()
    added = text_format.Parse(_LABELLED, schema_pb2.Schema())
    schema.feature.extend(added.feature)
    schema.default_environment.extend(added.default_environment)
    schema.tensor_representation_group[""].tensor_representation.MergeFrom(
        added.tensor_representation_group[""].tensor_representation
    )
    return schema


def schema_text(schema: schema_pb2.Schema) -> str:
    """A schema as text protobuf, ready for a `schema.pbtxt`."""
    return text_format.MessageToString(schema)

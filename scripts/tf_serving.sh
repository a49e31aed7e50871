#!/usr/bin/env bash
# Starts the official TensorFlow Serving image on a folder of model versions, for the
# conformance suite: scripts/tf_serving.sh MODEL_BASE [IMAGE]
# Then, in another shell:
#   TF_SERVING_GRPC=127.0.0.1:8500 TF_SERVING_REST=http://127.0.0.1:8501 \
#     .venv/bin/python -m pytest tests/serving/conformance

set -euo pipefail
base=${1:?"usage: scripts/tf_serving.sh MODEL_BASE [IMAGE]"}
image=${2:-tensorflow/serving:latest}
[ -d "$base" ] || { echo "$base: no such folder" >&2; exit 1; }
command -v docker >/dev/null || {
  echo "docker is not installed; use claimpt serve, which is not TensorFlow Serving" >&2
  exit 1
}
exec docker run --rm -p 8500:8500 -p 8501:8501 \
  --mount "type=bind,source=$(realpath "$base"),target=/models/claimpt,readonly" \
  -e MODEL_NAME=claimpt "$image" --allow_version_labels_for_unavailable_models=false

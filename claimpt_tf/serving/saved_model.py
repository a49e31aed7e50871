"""What stands in a SavedModel folder, read without TensorFlow and in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving import protos, tensor_types

SAVED_MODEL_FILE = "saved_model.pb"
SERVE_TAG = "serve"
DEFAULT_SIGNATURE = "serving_default"
EXPLAIN = "explain"
PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature.

    Attributes:
        tensor: name of the tensor in the graph, for example `serve_examples:0`.
        dtype: element type by NumPy's name; `string` for bytes.
        shape: sizes, -1 where unknown; None where even the rank is unknown.
    """

    tensor: str
    dtype: str
    shape: tuple[int, ...] | None

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of that shape may be fed.

        >>> TensorSpec("x:0", "int64", (-1, 2)).accepts((5, 2))
        True
        >>> TensorSpec("x:0", "int64", (-1, 2)).accepts((5,))
        False
        """
        return self.shape is None or (
            len(shape) == len(self.shape)
            and all(w in (-1, s) for w, s in zip(self.shape, shape, strict=True))
        )


@dataclass(frozen=True)
class SignatureSpec:
    """A named way to call the model."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    method_name: str


@dataclass(frozen=True)
class SavedModelSpec:
    """A SavedModel's serving graph.

    Attributes:
        signatures: by name; the loader's internal ones (`__saved_model_init_op`)
            are left out.
        ops: kinds of operation in the graph and all its functions; calls of the
            model's own functions are not counted as kinds.
        tensorflow_version: the version that wrote it.
    """

    signatures: dict[str, SignatureSpec]
    ops: frozenset[str]
    tensorflow_version: str


def _tensor_specs(infos: Iterable[tuple[str, object]]) -> dict[str, TensorSpec]:
    specs = {}
    for name, info in sorted(infos):
        shape = info.tensor_shape  # type: ignore[attr-defined]
        specs[name] = TensorSpec(
            tensor=info.name,  # type: ignore[attr-defined]
            dtype=tensor_types.name_of(info.dtype),  # type: ignore[attr-defined]
            shape=None if shape.unknown_rank else tuple(d.size for d in shape.dim),
        )
    return specs


def read_saved_model(path: str | Path, tag: str = SERVE_TAG) -> SavedModelSpec:
    """Reads saved_model.pb of a version folder.

    Raises:
        ArtifactError: no such file, not a SavedModel, or no graph with that tag.
    """
    file = Path(path) / SAVED_MODEL_FILE
    try:
        model = protos.SavedModel.FromString(file.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(
            f"{path}: no {SAVED_MODEL_FILE} here; give the folder that holds it"
        ) from None
    except OSError as error:
        raise ArtifactError(f"{file}: cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise ArtifactError(
            f"{file}: not a SavedModel, or cut short; export the model again"
        ) from error
    for graph in model.meta_graphs:
        if tag in graph.meta_info_def.tags:
            break
    else:
        raise ArtifactError(f"{file}: holds no graph with the tag {tag!r}")

    functions = graph.graph_def.library.function
    own = {function.signature.name for function in functions}
    ops = {node.op for node in graph.graph_def.node}
    for function in functions:
        ops.update(node.op for node in function.node_def)
    return SavedModelSpec(
        signatures={
            name: SignatureSpec(
                inputs=_tensor_specs(signature.inputs.items()),
                outputs=_tensor_specs(signature.outputs.items()),
                method_name=signature.method_name,
            )
            for name, signature in sorted(graph.signature_def.items())
            if not name.startswith("__")
        },
        ops=frozenset(ops - own),
        tensorflow_version=graph.meta_info_def.tensorflow_version,
    )


def python_ops(path: str | Path) -> list[str]:
    """Kinds of operation that call back into Python; none can run in TF Serving.

    Raises:
        ArtifactError: as `read_saved_model`.
    """
    return sorted(op for op in read_saved_model(path).ops if "PyFunc" in op)


def model_versions(base: str | Path) -> dict[int, Path]:
    """The complete versions under a model folder, lowest first.

    A version is a folder with a whole number for a name and a saved_model.pb in
    it; whatever else stands there (temporary copies, notes) is passed over.

    Raises:
        ArtifactError: `base` is not a folder.
    """
    base = Path(base)
    if not base.is_dir():
        raise ArtifactError(
            f"{base}: no such folder; give the folder that holds the numbered versions"
        )
    found = {
        int(child.name): child
        for child in base.iterdir()
        if child.name.isascii()
        and child.name.isdigit()
        and (child / SAVED_MODEL_FILE).is_file()
    }
    return dict(sorted(found.items()))


def resolve_version(model_dir: str | Path) -> Path:
    """The version folder itself: `model_dir`, or the highest version under it.

    Raises:
        ArtifactError: neither holds a saved_model.pb.
    """
    path = Path(model_dir)
    if (path / SAVED_MODEL_FILE).is_file():
        return path
    versions = model_versions(path)
    if not versions:
        raise ArtifactError(
            f"{path}: neither {SAVED_MODEL_FILE} nor a numbered version folder here"
        )
    return versions[max(versions)]

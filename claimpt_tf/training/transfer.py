"""Going on with a pre-trained network on other claims, whose codes are added to it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_transform as tft

from claimpt_tf.codes.categories import CategoryOf, category_of
from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.timeline_backbone import TimelineBackbone
from claimpt_tf.training.devices import dtype_policy
from claimpt_tf.training.foreknowledge import WindowScores
from claimpt_tf.training.pretrain import TARGETS_FILE, load_backbone, write_text
from claimpt_tf.training.pretrainer import Pretrainer
from claimpt_tf.training.run_folder import whole
from claimpt_tf.training.targets import Targets
from claimpt_tf.visits.ids import (
    CODE_VOCABULARY,
    FIRST_CODE,
    STEM_VOCABULARY,
    UNKNOWN,
)

# A network that knows something already is moved with care.
CONTINUED: dict[str, Any] = {"learning_rate": 5e-4}
_ACUTE = "@acute"


@dataclass(frozen=True)
class Base:
    """A pre-trained run to go on from.

    Attributes:
      folder: Where it is.
      preset: Size of its network.
      network: Its backbone, in float32.
      codes: Its code vocabulary, in file order.
      stems: Its stem vocabulary.
      targets: What it learned to predict.
    """

    folder: str
    preset: str
    network: TimelineBackbone
    codes: list[str]
    stems: list[str]
    targets: Targets

    @classmethod
    def load(cls, folder: str, transform: str = "transform") -> Base:
        """Reads a run of `claimpt pretrain`.

        Raises:
          ArtifactError: The folder holds none, or an unfinished one.
        """
        run = Path(folder)
        config = run / "config.json"
        if not config.exists():
            raise ArtifactError(
                f"{folder} holds no finished run of `claimpt pretrain`: no config.json"
            )
        codes, stems = read_vocabularies(str(run / transform))
        with whole(config):
            preset = json.loads(config.read_text())["choices"]["preset"]
        with whole(run / TARGETS_FILE):
            targets = Targets.from_json((run / TARGETS_FILE).read_text())
        return cls(folder, preset, load_backbone(folder, codes), codes, stems, targets)


def read_vocabularies(transform: str) -> tuple[list[str], list[str]]:
    """Codes and stems of a transformation, in file order."""
    output = tft.TFTransformOutput(transform)
    names = (CODE_VOCABULARY, STEM_VOCABULARY)
    codes, stems = (
        [entry.decode() for entry in output.vocabulary_by_name(name)] for name in names
    )
    return codes, stems


def grow_vocabularies(transform: str, base: Base) -> dict[str, int]:
    """Puts a base's codes and stems before those of a transformation, in its files.

    What the base knows keeps its number; what is new comes after it.

    Args:
      transform: A folder that `analyse` wrote; it is changed.
      base: The run to go on from.

    Returns:
      `known_codes`, `new_codes` and `new_stems`: how many of the transformation's own.
    """
    output = tft.TFTransformOutput(transform)
    counts = {}
    codes, stems = read_vocabularies(transform)
    for name, theirs, ours in (
        (CODE_VOCABULARY, base.codes, codes),
        (STEM_VOCABULARY, base.stems, stems),
    ):
        known = set(theirs)
        added = [entry for entry in ours if entry not in known]
        path = output.vocabulary_file_by_name(name)
        write_text(str(path), "\n".join([*theirs, *added]) + "\n")
        counts[f"known_{name}"] = len(ours) - len(added)
        counts[f"new_{name}"] = len(added)
    del counts[f"known_{STEM_VOCABULARY}"]
    return counts


class Continuation:
    """A base's network and targets for a vocabulary that begins with the base's own.

    Args:
      base: The run to go on from.
      codes: The grown code vocabulary, in file order.
      stems: The grown stem vocabulary.

    Raises:
      ArtifactError: The vocabulary does not begin with the base's.
    """

    def __init__(self, base: Base, codes: Sequence[str], stems: Sequence[str]) -> None:
        self.base, self.codes, self.stems = base, list(codes), list(stems)
        grown = ((base.codes, self.codes), (base.stems, self.stems))
        if any(ours[: len(theirs)] != theirs for theirs, ours in grown):
            raise ArtifactError(
                f"this vocabulary does not begin with that of {base.folder}: another "
                "base was grown to it. Choose another --output"
            )

    def network(self, dtype: str) -> TimelineBackbone:
        """The grown network: what was there is unchanged.

        A new code begins at the mean of the codes of its stem, else of its category,
        else at the unknown code; a new stem at the mean of its codes' categories'
        stems, else at the unknown stem.

        Args:
          dtype: Keras dtype policy to compute in.
        """
        old = self.base.network
        config = {**old.get_config(), "codes": FIRST_CODE + len(self.codes)}
        if "stems" in config:
            config["stems"] = FIRST_CODE + len(self.stems)
        with dtype_policy(dtype):
            grown = type(old).from_config({**config, "dtype": dtype})
        rows = {
            id(old.get_layer("visit_embedding").code.embeddings): self._code_rows,
        }
        if "stems" in config:
            stem = old.get_layer("visit_embedding").stem.embeddings
            rows[id(stem)] = self._stem_rows
        for before, after in zip(old.weights, grown.weights, strict=True):
            value = np.asarray(before.numpy())
            added = rows.get(id(before))
            after.assign(value if added is None else added(value))
        return grown

    def targets(self, found: Targets, of_code: CategoryOf = category_of) -> Targets:
        """The base's targets, then those of these claims that are new.

        Args:
          found: Targets of these claims' training members.
          of_code: The categories of codes that both were made with.
        """
        theirs = self.base.targets
        kinds: list[list[str]] = []
        for acute in (False, True):
            both = dict.fromkeys([*theirs.names, *found.names])
            kinds.append([name for name in both if name.endswith(_ACUTE) == acute])
        names = [*kinds[0], *kinds[1]]
        place = {name: number for number, name in enumerate(names)}
        categories = [""] * FIRST_CODE + of_code(self.codes)
        return Targets(
            names,
            [place.get(one, -1) for one in categories],
            [place.get(one + _ACUTE, -1) for one in categories],
        )

    def begin_heads(self, model: Pretrainer) -> int:
        """Gives a model what the base knows of windows; other heads stay fresh.

        Args:
          model: Of the grown network and targets.

        Returns:
          How many members taught that, 0 where there is nothing of this size.
        """
        scores = WindowScores.load(self.base.folder)
        if scores is None or not scores.begin(model, self.base.targets.names):
            return 0
        return int(scores.members)

    def _code_rows(self, table: np.ndarray) -> np.ndarray:
        known = len(self.base.codes)
        stems = [_stem(code) for code in self.codes]
        kin = [stems, category_of(self.codes)]
        return _with_means(table, kin, known)

    def _stem_rows(self, table: np.ndarray) -> np.ndarray:
        """A stem's category is the commonest of its codes."""
        by_stem: dict[str, list[str]] = {}
        for code, category in zip(self.codes, category_of(self.codes), strict=True):
            by_stem.setdefault(_stem(code), []).append(category)
        commonest = {
            stem: max(sorted(set(found)), key=found.count)
            for stem, found in by_stem.items()
        }
        kin = [commonest.get(stem, "") for stem in self.stems]
        return _with_means(table, [kin], len(self.base.stems))


def _stem(code: str) -> str:
    """System and first three characters, as `preprocessing_fn` has it."""
    system, _, rest = code.partition(":")
    return f"{system}:{rest[:3]}"


def _with_means(
    table: np.ndarray, kin: Sequence[Sequence[str]], known: int
) -> np.ndarray:
    """A table with rows for new entries.

    Args:
      table: float [FIRST_CODE + known, width].
      kin: For each kind of kinship, nearest first, the group of every entry, old and
        new; "" is none.
      known: How many entries are old; they stand first.
    """
    old = table[FIRST_CODE:]
    means: list[dict[str, Any]] = []
    for groups in kin:
        members: dict[str, list[int]] = {}
        for number, group in enumerate(groups[:known]):
            if group:
                members.setdefault(group, []).append(number)
        means.append({group: old[rows].mean(axis=0) for group, rows in members.items()})
    added = [
        next(
            (mean[groups[n]] for mean, groups in zip(means, kin, strict=True)
             if groups[n] in mean),
            table[UNKNOWN],
        )
        for n in range(known, len(kin[0]))
    ]  # fmt: skip
    return np.concatenate([table, np.asarray(added, table.dtype)]) if added else table


def same_preset(base: Base, preset: str | None) -> str:
    """The preset of a run that goes on from a base.

    Raises:
      ArtifactError: Another one is asked for.
    """
    if preset not in (None, base.preset):
        raise ArtifactError(
            f"{base.folder} was pre-trained with the preset {base.preset}, not "
            f"{preset}: leave --preset out, or pre-train without --base"
        )
    return base.preset


def fingerprint(base: Base) -> dict[str, Any]:
    """What tells one base from another, for resuming."""
    size = os.path.getsize(os.path.join(base.folder, "backbone.keras"))
    return {"preset": base.preset, "codes": len(base.codes), "bytes": size}

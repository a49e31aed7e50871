"""Which visits and codes made a score, inside the graph.

A member's score is followed from the reference, the same person on the same day
without any visit, to the full history, one visit and one code at a time: once in the
order of time and once against it. What a code adds, averaged over the two orders, is
its share. So the shares sum to the score's difference from the reference exactly,
whatever the network, every scored history is one that could have been, and no gradient
is needed. It is the Shapley value sampled by one antithetic pair of permutations
(Mitchell et al. 2022, "Sampling permutations for Shapley value estimation"), within
the groups that visits are (Owen 1977). Integrated gradients would ask the network
about fractions of a code, miss the sum by the error of their quadrature, and see
nothing of the trees that stand beside the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Tensors = dict[str, Any]
# Steps an order takes at most; beyond, neighbours in time are added together and
# share equally. A history of 64 visits and 3 codes each needs 256.
MOST_STEPS = 256
_CHUNK = 128
_OF_VISIT = ("visit_type", "visit_day", "visit_length", "log_cost")
_OF_CODE = ("code_ids", "stem_ids")


def explain(inputs: Tensors, score: Callable[[Tensors], Any]) -> Tensors:
    """Shares of visits and codes in a score.

    Args:
      inputs: What `as_of` gives: `code_ids`, `stem_ids` int32 [B, V, C], the visits'
        features [B, V], `sex`, `birth_day` int32 [B], `query_day` int32 [B, 1].
      score: Inputs of any batch to float32 [batch].

    Returns:
      `probability` and `reference` float32 [B], `visit_share` float32 [B, V] (its
      codes' shares and that of the visit itself: place, time, stay, cost) and
      `code_share` float32 [B, V, C]. `visit_share` sums to probability - reference.
    """
    visit = inputs["visit_type"] != 0
    code = tf.logical_and(inputs["code_ids"] != 0, visit[:, :, None])
    # One place for the visit itself, then its codes: [B, V, 1 + C] in order of time.
    unit = tf.concat([visit[:, :, None], code], axis=2)
    shape = tf.shape(unit)
    flat = tf.reshape(unit, [shape[0], -1])
    rank = tf.cumsum(tf.cast(flat, tf.int32), axis=1) - 1
    count = tf.reduce_sum(tf.cast(flat, tf.int32), axis=1)
    # Against time visits turn round; the visit itself still comes before its codes.
    turned = tf.reshape(tf.reverse(unit, [1]), [shape[0], -1])
    back = tf.cumsum(tf.cast(turned, tf.int32), axis=1) - 1
    back = tf.reshape(tf.reverse(tf.reshape(back, shape), [1]), [shape[0], -1])

    steps = tf.minimum(count, MOST_STEPS)
    forward, forward_size = _step_of(rank, count, steps, flat)
    backward, backward_size = _step_of(back, count, steps, flat)

    # A step at least, so that a batch without any visit has its place too.
    most = tf.maximum(tf.reduce_max(steps), 1)
    # Row by row: no visit, then each order's first to last but one step, then all.
    scored = _scores(inputs, shape, (forward, backward), steps, most, score)
    reference, probability = scored[:, 0, 0], _full(scored, steps)
    gained = scored[:, :, 1:] - scored[:, :, :-1]  # [B, 2, most]
    share = tf.zeros_like(flat, tf.float32)
    for order, (step, size) in enumerate(
        ((forward, forward_size), (backward, backward_size))
    ):
        each = tf.gather(gained[:, order], tf.maximum(step, 0), batch_dims=1)
        share += tf.where(flat, each / size, 0.0) / 2
    share = tf.reshape(share, shape)
    return {
        "probability": probability,
        "reference": reference,
        "visit_share": tf.reduce_sum(share, axis=2),
        "code_share": share[:, :, 1:],
    }


def _step_of(rank: Any, count: Any, steps: Any, real: Any) -> tuple[Any, Any]:
    """The step at which each unit is added (-1: none), and how many units it adds."""
    count, steps = tf.maximum(count, 1)[:, None], tf.maximum(steps, 1)[:, None]
    step = tf.where(real, rank * steps // count, -1)
    batch, most = tf.shape(rank)[0], tf.reduce_max(steps)
    place = tf.range(batch)[:, None] * most + tf.maximum(step, 0)
    sizes = tf.math.unsorted_segment_sum(
        tf.cast(tf.reshape(real, [-1]), tf.float32),
        tf.reshape(place, [-1]),
        batch * most,
    )
    size = tf.gather(sizes, tf.reshape(place, [-1]))
    return step, tf.maximum(tf.reshape(size, tf.shape(rank)), 1.0)


def _scores(
    inputs: Tensors, shape: Any, orders: tuple[Any, Any], steps: Any, most: Any,
    score: Callable[[Tensors], Any],
) -> Any:  # fmt: skip
    """float32 [B, 2, most + 1]: scores with the first k steps of each order.

    The full history and the empty one are the same in both orders and are scored
    once; entries past a member's own last step repeat it.
    """
    batch = shape[0]
    both = tf.stack(orders, axis=1)  # [B, 2, units]
    after = tf.range(most + 1)
    member, order, taken = tf.meshgrid(
        tf.range(batch), tf.range(2), after, indexing="ij"
    )
    own = tf.gather(steps, member)
    inner = tf.logical_and(taken > 0, taken < own)
    end = tf.logical_or(tf.equal(taken, 0), tf.equal(taken, own))
    needed = tf.logical_or(inner, tf.logical_and(end, tf.equal(order, 0)))
    chosen = tf.where(tf.reshape(needed, [-1]))[:, 0]
    rows = [tf.gather(tf.reshape(x, [-1]), chosen) for x in (member, order, taken)]
    total = tf.shape(chosen)[0]
    chunks = -(-total // _CHUNK)

    def of_chunk(at: Any, found: Any) -> tuple[Any, Any]:
        some = [x[at * _CHUNK : (at + 1) * _CHUNK] for x in rows]
        kept = tf.gather_nd(both, tf.stack(some[:2], axis=1)) < some[2][:, None]
        real = tf.gather_nd(both, tf.stack(some[:2], axis=1)) >= 0
        size = [tf.size(some[0]), shape[1], shape[2]]  # -1 would not do for no visit
        kept = tf.reshape(tf.logical_and(kept, real), size)
        part = {name: tf.gather(value, some[0]) for name, value in inputs.items()}
        return at + 1, found.write(at, score(_only(part, kept)))

    found = tf.TensorArray(
        tf.float32, size=chunks, infer_shape=False, element_shape=[None]
    )
    _, found = tf.while_loop(
        lambda at, _: at < chunks, of_chunk, (tf.constant(0), found),
        parallel_iterations=1,
    )  # fmt: skip
    flat = tf.scatter_nd(chosen[:, None], found.concat(), [tf.size(needed, tf.int64)])
    whole = tf.reshape(flat, tf.shape(needed))
    # What both orders share stands in the first one; entries past the end repeat it.
    first = whole[:, :1]
    shared = tf.repeat(first, 2, axis=1)
    whole = tf.where(end, shared, whole)
    last = tf.gather(first, steps[:, None, None], axis=2, batch_dims=1)[:, :, 0]
    return tf.where(taken > own, last, whole)


def _full(scored: Any, steps: Any) -> Any:
    return tf.gather(scored[:, 0], steps, batch_dims=1)


def _only(inputs: Tensors, kept: Any) -> Tensors:
    """Inputs with these units only: visits close up, codes that are left out vanish."""
    visit, code = kept[:, :, 0], kept[:, :, 1:]
    order = tf.argsort(tf.cast(tf.logical_not(visit), tf.int32), axis=1, stable=True)
    held = dict(inputs)
    for name in _OF_VISIT:
        value = tf.where(visit, inputs[name], tf.zeros([], inputs[name].dtype))
        held[name] = tf.gather(value, order, batch_dims=1)
    within = tf.argsort(tf.cast(tf.logical_not(code), tf.int32), axis=2, stable=True)
    for name in _OF_CODE:
        value = tf.where(code, inputs[name], tf.zeros([], inputs[name].dtype))
        value = tf.gather(value, within, batch_dims=2)
        held[name] = tf.gather(value, order, batch_dims=1)
    return held

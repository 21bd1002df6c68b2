"""The loops of the engine, compiled by numba.

Unsigned numbers index the arrays: signed ones cost a test for negative values at every access.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numba import float64, int64, uint8, uint64
from numpy.typing import NDArray

from eotasks.models.compiled import kernel
from eotasks.models.forest.bits import lowest_bit

Index: TypeAlias = Any
"""An unsigned number of 64 bits, as numba sees it."""

BLOCK = 512
"""Rows that take their way through a tree together."""

PLACES = 256
"""Leaves of a tree that a block may reach, so that a row's place fits a byte; beyond that, rows are walked singly."""

CELLS = 4096
"""Cells of the table that tells where to begin the search for a bin."""

_ROWS = 256
"""Rows binned at a time, so that they are read from memory once for all columns."""

_SAMPLES = 48
"""Rows looked at to choose the column along which a set of rows is divided."""

_LEAF = 0xFFFF
_BINS = 256
_TOGETHER = 32
"""Blocks that are taken through a tree together, at most 64: more share more of the way, and no longer fit a cache."""


@kernel
def preorder(
    tree_nodes: NDArray[np.int64], tree_leaves: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nodes of all trees in preorder: (nodes,) the number of an inner node or -1 for a leaf, and the leaves' numbers.

    Both results are shorter than they should be when the children of a tree form no tree.
    """
    total, all_leaves = len(left) + tree_leaves.sum(), tree_leaves.sum()
    order, leaves = np.empty(total, np.int64), np.empty(all_leaves, np.int64)
    stack = np.empty(total + 1, np.int64)
    count, leaf_count, first_node, first_leaf = 0, 0, 0, 0
    for tree in range(len(tree_nodes)):
        nodes, own_leaves = tree_nodes[tree], tree_leaves[tree]
        stack[0] = 0 if nodes > 0 else -1
        depth, seen, seen_leaves = 1, 0, 0
        while depth > 0:
            depth -= 1
            node = stack[depth]
            if node < 0:
                if ~node >= own_leaves or seen_leaves == own_leaves:
                    return order[:0], leaves[:0]
                order[count], leaves[leaf_count] = -1, first_leaf + ~node
                leaf_count += 1
                seen_leaves += 1
            else:
                if node >= nodes or seen == nodes:
                    return order[:0], leaves[:0]
                order[count] = first_node + node
                stack[depth], stack[depth + 1] = right[first_node + node], left[first_node + node]
                depth += 2
                seen += 1
            count += 1
        if seen != nodes or seen_leaves != own_leaves:
            return order[:0], leaves[:0]
        first_node += nodes
        first_leaf += own_leaves
    return order, leaves


@kernel
def right_children(is_leaf: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """From leaf flags in preorder: right children (a leaf's own number for a leaf), roots, and the greatest depth.

    The depth is -1 when the last tree is not complete.
    """
    count = len(is_leaf)
    target, roots, waiting = np.zeros(count, np.int64), np.empty(count, np.int64), np.empty(count + 1, np.int64)
    trees, depth, deepest, leaf = 0, 0, 0, 0
    whole = True
    for node in range(count):
        if whole:
            roots[trees] = node
            trees += 1
            whole = False
        if not is_leaf[node]:
            waiting[depth] = node
            depth += 1
            deepest = max(deepest, depth)
            continue
        target[node] = leaf
        leaf += 1
        if depth == 0:
            whole = True
        else:
            depth -= 1
            target[waiting[depth]] = node + 1
    return target, roots[:trees].copy(), deepest if whole else -1


@kernel
def bins_of_values(
    values: NDArray[Any],
    row_step: int,
    feature_step: int,
    height: int,
    source: NDArray[np.int64],
    first: NDArray[np.int64],
    threshold: NDArray[np.float64],
    offset: NDArray[np.float64],
    scale: NDArray[np.float64],
    start: NDArray[np.uint8],
    nan_bin: NDArray[np.uint8],
    zero_bin: NDArray[np.int16],
    zero: float,
    bins: NDArray[np.uint8],
    begin: int,
) -> None:
    """Bins (columns, rows from ``begin``) of floats: the number of thresholds below a value.

    Rows are ``height`` of any layout: the value of a feature is at its steps times its number in ``values``.

    A cell's entry in ``start`` counts the thresholds of lower cells; the cell grows with the value, so all of those
    are below it, and the rest, most often none or one, is found by comparing. Thresholds of a column end with infinity,
    which is below nothing.
    """
    part, cells = np.empty(_ROWS, np.float64), np.empty(_ROWS, np.int32)
    last = CELLS - 1.0
    for top in range(0, height, _ROWS):
        rows = min(_ROWS, height - top)
        for column in range(len(source)):
            at = uint64(top * row_step + source[column] * feature_step)
            for row in range(rows):
                part[row] = float64(values[at + uint64(row * row_step)])
            base = uint64(first[column])
            low, factor = offset[column], scale[column]
            special = zero_bin[column] >= 0
            for row in range(rows):  # by vectors
                value = part[row]
                special |= value != value
                cell = (value - low) * factor
                cell = cell if cell > 0.0 else 0.0  # NaN too
                cells[row] = np.int32(cell if cell < last else last)
            for row in range(rows):
                value = part[row]
                found = uint64(start[column, uint64(cells[row])])
                found += uint64(threshold[base + found] < value)  # without a branch, since it is often one
                while threshold[base + found] < value:
                    found += uint64(1)
                bins[column, begin + top + row] = uint8(found)
            if special:
                for row in range(rows):
                    if part[row] != part[row]:
                        bins[column, begin + top + row] = nan_bin[column]
                    elif zero_bin[column] >= 0 and abs(part[row]) <= zero:
                        bins[column, begin + top + row] = uint8(zero_bin[column])


@kernel
def bins_of_numbers(
    rows: NDArray[np.uint16], source: NDArray[np.int64], table: NDArray[np.uint8], bins: NDArray[np.uint8], begin: int
) -> None:
    """Bins (columns, rows from ``begin``) of digital numbers (rows, features), looked up in (columns, 65536)."""
    for top in range(0, len(rows), _ROWS):
        bottom = min(top + _ROWS, len(rows))
        for column in range(len(source)):
            feature = uint64(source[column])
            for row in range(top, bottom):
                bins[column, begin + row] = table[column, rows[row, feature]]


@kernel
def divide(bins: NDArray[np.uint8], weight: NDArray[np.int32], order: NDArray[np.int32]) -> None:
    """Put rows in an order in which every BLOCK of them is alike, as a k-d tree divides them.

    A set of rows is halved along the column whose range of bins spans most splits of the forest. The order decides how
    fast the trees are walked, never what comes out, so a sample of the rows is enough to choose the column.
    """
    count = bins.shape[1]
    spare = np.empty(count, np.int32)
    counts = np.empty(256, np.int64)
    starts, stops = np.empty(64, np.int64), np.empty(64, np.int64)
    starts[0], stops[0] = 0, count
    for row in range(count):
        order[row] = row
    depth = 1
    while depth > 0:
        depth -= 1
        start, stop = starts[depth], stops[depth]
        size = stop - start
        if size <= BLOCK:
            continue
        column = _widest(bins, weight, order, start, stop)
        if column < 0:
            continue
        half = ((size // 2 + BLOCK - 1) // BLOCK) * BLOCK
        _halve(bins, uint64(column), order, spare, counts, start, stop, half)
        starts[depth], stops[depth] = start, start + half
        starts[depth + 1], stops[depth + 1] = start + half, stop
        depth += 2


@kernel
def _widest(bins: NDArray[np.uint8], weight: NDArray[np.int32], order: NDArray[np.int32], start: int, stop: int) -> int:
    """The column whose bins, in a sample of the rows, span most splits; -1 when none spans any."""
    best, span = -1, 0
    step = max(1, (stop - start) // _SAMPLES)
    for column in range(len(bins)):
        low, high = uint8(255), uint8(0)
        for place in range(start, stop, step):
            value = bins[column, uint64(order[place])]
            low, high = min(low, value), max(high, value)
        width = weight[column, high] - weight[column, low] if high > low else 0
        if width > span:
            best, span = column, width
    return best


@kernel
def _halve(
    bins: NDArray[np.uint8],
    column: Index,
    order: NDArray[np.int32],
    spare: NDArray[np.int32],
    counts: NDArray[np.int64],
    start: int,
    stop: int,
    half: int,
) -> None:
    """Bring the ``half`` rows with the lowest bins of a column to the front."""
    counts[:] = 0
    for place in range(start, stop):
        counts[bins[column, uint64(order[place])]] += 1
    middle, below = 0, 0
    while below + counts[middle] < half:
        below += counts[middle]
        middle += 1
    ties = half - below
    left, right = uint64(start), uint64(0)
    for place in range(start, stop):
        row = order[place]
        value = bins[column, uint64(row)]
        tie = value == middle
        goes_left = (value < middle) | (tie & (ties > 0))
        ties -= int64(tie)
        # Both are written, one cursor moves: cheaper than a branch that is wrong half of the time. The left one never
        # overtakes the place being read.
        order[left], spare[right] = row, row
        left += uint64(goes_left)
        right += uint64(not goes_left)
    for place in range(right):
        order[left + place] = spare[place]


@kernel
def gather(
    bins: NDArray[np.uint8],
    order: NDArray[np.int32],
    blocks: NDArray[np.uint8],
    low: NDArray[np.uint8],
    high: NDArray[np.uint8],
) -> None:
    """Bins in blocks (blocks, columns, BLOCK), the last block filled up with its last row, and each block's range."""
    columns, count = bins.shape
    for block in range(len(blocks)):
        top = block * BLOCK
        for column in range(columns):
            least, most = uint8(255), uint8(0)
            for lane in range(BLOCK):
                value = bins[column, uint64(order[min(top + lane, count - 1)])]
                blocks[block, column, lane] = value
                least, most = min(least, value), max(most, value)
            low[block * columns + column], high[block * columns + column] = least, most


@kernel
def sum_trees(
    blocks: NDArray[np.uint8],
    low: NDArray[np.uint8],
    high: NDArray[np.uint8],
    nodes: NDArray[np.uint64],
    roots: NDArray[np.int64],
    leaf_value: NDArray[np.float64],
    deepest: int,
    outputs: int,
    columns: int,
    sums: NDArray[np.float64],
) -> None:
    """Add every tree's leaf value of every row to ``sums`` (outputs, blocks, BLOCK), in the order of the trees.

    :param blocks: Bins, flat.
    :param sums: Flat, zeros at the start.
    """
    count = len(sums) // (BLOCK * outputs)
    to_left, to_right = np.empty(columns * _BINS, np.uint64), np.empty(columns * _BINS, np.uint64)
    places, found = np.empty(_TOGETHER * BLOCK, np.uint8), np.empty(_TOGETHER * PLACES, np.float64)
    used, place = np.empty(_TOGETHER, np.uint64), np.empty(_TOGETHER, np.uint8)
    waiting, waiting_blocks = np.empty(deepest + 1, np.uint64), np.empty(deepest + 1, np.uint64)
    waiting_place = np.empty((deepest + 1) * _TOGETHER, np.uint8)
    for begin in range(0, count, _TOGETHER):
        together = min(_TOGETHER, count - begin)
        _sides(low, high, begin, together, columns, to_left, to_right)
        for tree in range(len(roots)):
            root = uint64(roots[tree])
            many = _reach(
                blocks, nodes, leaf_value, root, uint64(begin), uint64(together), uint64(columns), to_left, to_right,
                places, found, used, place, waiting, waiting_blocks, waiting_place,
            )  # fmt: skip
            for block in range(together):
                target = uint64(((tree % outputs) * count + begin + block) * BLOCK)
                first = uint64(block * PLACES)
                if (many >> uint64(block)) & uint64(1):
                    base = uint64((begin + block) * columns)
                    _add_by_row(blocks, nodes, leaf_value, root, base, sums, target)
                elif used[uint64(block)] == uint64(1):
                    value = found[first]
                    for lane in range(BLOCK):
                        sums[target + uint64(lane)] += value
                else:
                    start = uint64(block * BLOCK)
                    for lane in range(BLOCK):
                        sums[target + uint64(lane)] += found[first + uint64(places[start + uint64(lane)])]


@kernel
def _sides(
    low: NDArray[np.uint8],
    high: NDArray[np.uint8],
    begin: int,
    together: int,
    columns: int,
    to_left: NDArray[np.uint64],
    to_right: NDArray[np.uint64],
) -> None:
    """For every column and limit (columns, _BINS) the blocks, a bit each, whose rows all go to one side there."""
    to_left[:] = 0
    to_right[:] = 0
    for column in range(columns):
        first = column * _BINS
        for block in range(together):
            bit = uint64(1) << uint64(block)
            least, most = low[(begin + block) * columns + column], high[(begin + block) * columns + column]
            to_left[uint64(first + most)] |= bit
            if least > 0:
                to_right[uint64(first + least - 1)] |= bit
        for limit in range(1, _BINS):
            to_left[uint64(first + limit)] |= to_left[uint64(first + limit - 1)]
            to_right[uint64(first + _BINS - 1 - limit)] |= to_right[uint64(first + _BINS - limit)]


@kernel
def _reach(
    blocks: NDArray[np.uint8],
    nodes: NDArray[np.uint64],
    leaf_value: NDArray[np.float64],
    root: Index,
    begin: Index,
    together: Index,
    columns: Index,
    to_left: NDArray[np.uint64],
    to_right: NDArray[np.uint64],
    places: NDArray[np.uint8],
    found: NDArray[np.float64],
    used: NDArray[np.uint64],
    place: NDArray[np.uint8],
    waiting: NDArray[np.uint64],
    waiting_blocks: NDArray[np.uint64],
    waiting_place: NDArray[np.uint8],
) -> Index:
    """The leaves that blocks reach in a tree: their number in ``used``, their values in ``found``, each row's leaf in
    ``places``.

    Blocks that lie beside each other are alike, and go through the tree together, a bit each: a node is looked at once
    for all that come to it. All rows of a block start in its place 0. A split on whose one side its whole range of bins
    lies is passed without looking at a row. At any other split the rows of the place that go to the right get a place
    of their own: one vector loop, no branch.

    :return: Blocks that reach more leaves than a byte can number, a bit each; what is said of them is of no use.
    """
    for block in range(_TOGETHER):
        used[block], place[block] = uint64(1), uint8(0)
    many, here = uint64(0), (~uint64(0)) >> (uint64(64) - together)
    node, depth = root, uint64(0)
    while True:
        packed = nodes[node]
        column = (packed >> uint64(8)) & uint64(0xFFFF)
        if column == uint64(_LEAF):
            _at_leaf(leaf_value[packed >> uint64(24)], here, place, found)
            if depth == uint64(0):
                return many
            depth = depth - uint64(1)
            node, here = waiting[depth], waiting_blocks[depth]
            for block in range(_TOGETHER):
                place[block] = waiting_place[depth * uint64(_TOGETHER) + uint64(block)]
            continue
        limit = packed & uint64(0xFF)
        side = column * uint64(_BINS) + limit
        left, right = here & ~to_right[side], here & ~to_left[side]
        if right == uint64(0):
            node = node + uint64(1)
            continue
        if left == uint64(0):
            node = packed >> uint64(24)
            continue
        other = packed >> uint64(24)
        there = nodes[other]
        is_leaf = (there >> uint64(8)) & uint64(0xFFFF) == uint64(_LEAF)
        value = 0.0
        if is_leaf:  # as every second one, so nothing has to wait
            value = leaf_value[there >> uint64(24)]
            _at_leaf(value, right & ~left, place, found)
        else:
            for block in range(_TOGETHER):
                waiting_place[depth * uint64(_TOGETHER) + uint64(block)] = place[block]
        divided = left & right
        while divided != uint64(0):
            block = lowest_bit(divided)
            divided = divided & (divided - uint64(1))
            if used[block] == uint64(PLACES):
                many = many | (uint64(1) << block)
                continue
            own = uint8(used[block])
            start = ((begin + block) * columns + column) * uint64(BLOCK)
            _divide_place(blocks, start, uint8(limit), places, block * uint64(BLOCK), place[block], own)
            if is_leaf:
                found[block * uint64(PLACES) + uint64(own)] = value
            else:
                waiting_place[depth * uint64(_TOGETHER) + block] = own
            used[block] = used[block] + uint64(1)
        if not is_leaf:
            waiting[depth], waiting_blocks[depth] = other, right
            depth = depth + uint64(1)
        node, here = node + uint64(1), left


@kernel
def _at_leaf(value: float, here: Index, place: NDArray[np.uint8], found: NDArray[np.float64]) -> None:
    """Note the value of a leaf for the places in which blocks come to it."""
    while here != uint64(0):
        block = lowest_bit(here)
        here = here & (here - uint64(1))
        found[block * uint64(PLACES) + uint64(place[block])] = value


@kernel
def _divide_place(
    blocks: NDArray[np.uint8],
    start: Index,
    limit: Index,
    places: NDArray[np.uint8],
    first: Index,
    place: Index,
    own: Index,
) -> None:
    """Give the rows of a block's place that go to the right a place of their own."""
    if own == uint8(1):
        for lane in range(BLOCK):
            places[first + uint64(lane)] = uint8(blocks[start + uint64(lane)] > limit)
    else:
        for lane in range(BLOCK):
            now = places[first + uint64(lane)]
            places[first + uint64(lane)] = own if (now == place) & (blocks[start + uint64(lane)] > limit) else now


@kernel
def _add_by_row(
    blocks: NDArray[np.uint8],
    nodes: NDArray[np.uint64],
    leaf_value: NDArray[np.float64],
    root: Index,
    base: Index,
    sums: NDArray[np.float64],
    target: Index,
) -> None:
    """Walk a tree row by row, for a block that reaches more leaves than a byte can number."""
    for lane in range(BLOCK):
        node = root
        packed = nodes[node]
        column = (packed >> uint64(8)) & uint64(0xFFFF)
        while column != uint64(_LEAF):
            goes_left = blocks[(base + column) * uint64(BLOCK) + uint64(lane)] <= uint8(packed & uint64(0xFF))
            node = node + uint64(1) if goes_left else packed >> uint64(24)
            packed = nodes[node]
            column = (packed >> uint64(8)) & uint64(0xFFFF)
        sums[target + uint64(lane)] += leaf_value[packed >> uint64(24)]


@kernel
def scatter(sums: NDArray[np.float64], order: NDArray[np.int32], result: NDArray[np.float64]) -> None:
    """Bring sums (outputs, blocks, BLOCK), flat, back to the order of the rows: (rows, outputs)."""
    count, outputs = result.shape
    stride = len(sums) // outputs
    for place in range(count):
        for output in range(outputs):
            result[uint64(order[place]), uint64(output)] = sums[uint64(output * stride + place)]


@kernel
def logistic(result: NDArray[np.float64], factor: float) -> None:
    """1 / (1 + exp(-factor * x)) in place, by the same exp that LightGBM calls."""
    for row in range(len(result)):
        for output in range(result.shape[1]):
            result[row, output] = 1.0 / (1.0 + np.exp(-factor * result[row, output]))


@kernel
def softmax(result: NDArray[np.float64]) -> None:
    """Shares of the exponentials of a row, in place, in LightGBM's order of operations."""
    for row in range(len(result)):
        highest = result[row, 0]
        for output in range(1, result.shape[1]):
            highest = max(highest, result[row, output])
        total = 0.0
        for output in range(result.shape[1]):
            result[row, output] = np.exp(result[row, output] - highest)
            total += result[row, output]
        for output in range(result.shape[1]):
            result[row, output] /= total

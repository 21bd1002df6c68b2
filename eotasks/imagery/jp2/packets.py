"""How long packets are, by their own headers (ITU-T T.800, annex B.10): what the lengths of a PLT are compared to.

A level is cut behind the last of its packets. Were a PLT believed, one that moves a byte from a packet to the next
would cut too early, and a decoder would take what follows for coefficients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.compiled import kernel

_MOST_PASSES = 109
"""Coding passes of a code-block in one piece: 37 bit planes."""

_MOST_PLANES = 40


def packet_lengths(data: bytes, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes of packets of one layer that lie one behind another, with their marker EPH.

    :param data: They, and what follows.
    :param cells: int64 (packets, 6), code-blocks of each, as of `packet_cells`.
    :return: int64 (packets,): bytes of each; fewer packets where the next one is no packet, or the data ends within.
    """
    lengths = np.zeros(len(cells), dtype=np.int64)
    most = int((cells[:, 0::2] * cells[:, 1::2]).max(initial=0))
    # A tag tree has at most one and a third times as many nodes as leaves, and one more for each of its levels.
    nodes = np.zeros((2, 2 * most + 64), dtype=np.int64)
    found = _lengths(np.frombuffer(data, dtype=np.uint8), cells, lengths, nodes)
    return lengths[:found]


@kernel
def _lengths(data: NDArray[Any], cells: NDArray[Any], lengths: NDArray[Any], nodes: NDArray[Any]) -> int:
    size = data.size
    widths = np.zeros(40, dtype=np.int64)
    heights = np.zeros(40, dtype=np.int64)
    starts = np.zeros(40, dtype=np.int64)
    state = np.zeros((2, nodes.shape[1]), dtype=np.int64)
    at = 0
    for packet in range(cells.shape[0]):
        begin = at
        # Bits: `held` of the byte before `at`, of which `left` are not read yet. They are read at four places, each of
        # them written out: by a function of its own, inlined by numba or by LLVM, the whole takes 1.3 to 1.5 times as
        # long (tiles of 10 and 60 m).
        held = 0
        left = 0
        body = 0
        if at >= size:
            return packet
        held = data[at]
        at += 1
        left = 7
        if (held >> 7) & 1:
            for band in range(3):
                across = cells[packet, 2 * band]
                down = cells[packet, 2 * band + 1]
                if across * down == 0:
                    continue
                # Both tag trees: the leaves first, the root last.
                levels = 0
                widths[0], heights[0], starts[0] = across, down, 0
                total = across * down
                while widths[levels] * heights[levels] > 1:
                    widths[levels + 1] = (widths[levels] + 1) // 2
                    heights[levels + 1] = (heights[levels] + 1) // 2
                    starts[levels + 1] = total
                    levels += 1
                    total += widths[levels] * heights[levels]
                # `nodes`: what a node is at least; `state`: whether that is what it is.
                nodes[:, :total] = 0
                state[:, :total] = 0
                for row in range(down):
                    for column in range(across):
                        # Whether the block is in the packet (tree 0), then its empty bit planes (tree 1).
                        is_in = True
                        for tree in range(2):
                            threshold = 1
                            while is_in:
                                low = 0
                                for level in range(levels, -1, -1):
                                    node = starts[level] + (row >> level) * widths[level] + (column >> level)
                                    if nodes[tree, node] < low:
                                        nodes[tree, node] = low
                                    while nodes[tree, node] < threshold and not state[tree, node]:
                                        if left == 0:
                                            if at >= size:
                                                return packet
                                            left = 7 if held == 0xFF else 8
                                            held = data[at]
                                            at += 1
                                        left -= 1
                                        if (held >> left) & 1:
                                            state[tree, node] = 1
                                        else:
                                            nodes[tree, node] += 1
                                    low = nodes[tree, node]
                                is_known = state[tree, starts[0] + row * widths[0] + column] == 1 and low < threshold
                                if tree == 0:
                                    is_in = is_known
                                    break
                                if is_known:
                                    break
                                threshold += 1
                                if threshold > _MOST_PLANES:
                                    return packet
                        if not is_in:
                            continue
                        # Coding passes: 1, 2, 3 + 2 bits, 6 + 5 bits, 37 + 7 bits.
                        passes = 1
                        stage = 0
                        bits = 1
                        while True:
                            value = 0
                            for _ in range(bits):
                                if left == 0:
                                    if at >= size:
                                        return packet
                                    left = 7 if held == 0xFF else 8
                                    held = data[at]
                                    at += 1
                                left -= 1
                                value = 2 * value + ((held >> left) & 1)
                            full = 2**bits - 1
                            if value < full or stage == 4:
                                passes += value
                                break
                            passes += full
                            stage += 1
                            bits = 1 if stage == 1 else 2 if stage == 2 else 5 if stage == 3 else 7
                        if passes > _MOST_PASSES:
                            return packet
                        # Bits of the length: three, one more for each 1 that comes, and the logarithm of the passes.
                        bits = 3
                        while passes > 1:
                            passes >>= 1
                            bits += 1
                        is_more = True
                        while is_more:
                            if left == 0:
                                if at >= size:
                                    return packet
                                left = 7 if held == 0xFF else 8
                                held = data[at]
                                at += 1
                            left -= 1
                            is_more = (held >> left) & 1 == 1
                            bits += is_more
                            if bits > 32:
                                return packet
                        value = 0
                        for _ in range(bits):
                            if left == 0:
                                if at >= size:
                                    return packet
                                left = 7 if held == 0xFF else 8
                                held = data[at]
                                at += 1
                            left -= 1
                            value = 2 * value + ((held >> left) & 1)
                        body += value
        if held == 0xFF:  # a bit is stuffed after it, alone in its byte
            at += 1
        if at + 2 <= size and data[at] == 0xFF and data[at + 1] == 0x92:
            at += 2
        at += body
        if at > size:
            return packet
        lengths[packet] = at - begin
    return int(cells.shape[0])

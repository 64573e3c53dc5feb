"""Reverse differentiation of a graph that is built as the program runs, and that can be taken twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np


class Node:
    """An array, and what it was made of: pairs of a node and the way from the cotangent to that node's."""

    count = itertools.count()
    recording = True

    def __init__(self, value: Any, *parents: tuple[Node, Callable[[Node], Node]]) -> None:
        """The parents that need no derivative are left out, and all are while nothing is recorded."""
        self.value = value
        self.parents = [(node, way) for node, way in parents if node.needed] if Node.recording else []
        self.needed = bool(self.parents)
        self.number = next(Node.count)


def variable(value: Any) -> Node:
    """A node of which derivatives can be taken."""
    node = Node(value)
    node.needed = True
    return node


@contextmanager
def nothing_recorded() -> Iterator[None]:
    """No graph is built inside."""
    before, Node.recording = Node.recording, False
    try:
        yield
    finally:
        Node.recording = before


def add(a: Node, b: Node) -> Node:
    """Sum, with broadcasting."""
    shapes = a.value.shape, b.value.shape
    return Node(a.value + b.value, (a, lambda c: sum_to(c, shapes[0])), (b, lambda c: sum_to(c, shapes[1])))


def mul(a: Node, b: Node) -> Node:
    """Product, with broadcasting."""
    return Node(
        a.value * b.value,
        (a, lambda c: sum_to(mul(c, b), a.value.shape)),
        (b, lambda c: sum_to(mul(c, a), b.value.shape)),
    )


def scale(a: Node, factor: float) -> Node:
    """Product with a number."""
    return Node(a.value * factor, (a, lambda c: scale(c, factor)))


def shift(a: Node, term: float) -> Node:
    """Sum with a number."""
    return Node(a.value + term, (a, lambda c: c))


def exp(a: Node) -> Node:
    """Exponential function."""
    result = Node(np.exp(a.value), (a, lambda c: mul(c, result)))
    return result


def tanh(a: Node) -> Node:
    """Hyperbolic tangent."""
    result = Node(np.tanh(a.value), (a, lambda c: tanh_slope(c, result)))
    return result


def tanh_slope(c: Node, y: Node) -> Node:
    """Cotangent before the tanh, for the one after it and its result."""
    return Node(
        c.value * (1 - y.value * y.value),
        (c, lambda d: tanh_slope(d, y)),
        (y, lambda d: scale(mul(mul(d, c), y), -2.0)),
    )


def transpose(a: Node) -> Node:
    """Rows for columns."""
    return Node(a.value.T, (a, transpose))


def matmul(a: Node, b: Node) -> Node:
    """Product of matrices."""
    return Node(
        a.value @ b.value,
        (a, lambda c: matmul(c, transpose(b))),
        (b, lambda c: matmul(transpose(a), c)),
    )


def sum_to(a: Node, shape: tuple[int, ...]) -> Node:
    """Sum over what was broadcast from `shape`."""
    if a.value.shape == shape:
        return a
    before = a.value.shape
    extra = len(before) - len(shape)
    axes = tuple(i for i in range(len(before)) if i < extra or shape[i - extra] == 1 < before[i])
    return Node(a.value.sum(axis=axes).reshape(shape), (a, lambda c: broadcast(c, before)))


def broadcast(a: Node, shape: tuple[int, ...]) -> Node:
    """The transpose of `sum_to`."""
    before = a.value.shape
    return Node(np.broadcast_to(a.value, shape), (a, lambda c: sum_to(c, before)))


def gradient(output: Node, inputs: Sequence[Node], keep: bool = False) -> list[Node]:
    """Derivatives of a number by each input, recorded themselves if `keep`."""
    leads = leads_to(output, inputs)
    cotangents = {output.number: Node(np.ones_like(output.value))}
    wanted = {node.number for node in inputs}
    before, Node.recording = Node.recording, keep
    for node in sorted(leads.values(), key=lambda node: -node.number):
        cotangent = cotangents.get(node.number)
        if cotangent is None or node.number in wanted:
            continue
        for parent, way in node.parents:
            if parent.number in leads:
                part, sofar = way(cotangent), cotangents.get(parent.number)
                cotangents[parent.number] = part if sofar is None else add(sofar, part)
        del cotangents[node.number]
    Node.recording = before
    return [cotangents.get(node.number) or Node(np.zeros_like(node.value)) for node in inputs]


def leads_to(output: Node, inputs: Sequence[Node]) -> dict[int, Node]:
    """The nodes on the ways from the inputs to the output, by number."""
    above, stack = {output.number: output}, [output]
    while stack:
        for parent, _ in stack.pop().parents:
            if parent.number not in above:
                above[parent.number] = parent
                stack.append(parent)
    leads = {node.number: node for node in inputs}
    for number in sorted(above):
        if any(parent.number in leads for parent, _ in above[number].parents):
            leads[number] = above[number]
    return leads

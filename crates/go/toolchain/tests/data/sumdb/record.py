#!/usr/bin/env python3
"""Records answers of sum.golang.org that the tests prove: two lookups with different tree heads, and the tiles that join them.

    tests/data/sumdb/record.py [PROXY]

PROXY is a module proxy that serves the database (https://proxy.golang.org). Choose versions whose lookups carry different heads: proxies
keep the head of the time when a version was first looked up.
"""
import os, sys, urllib.request

PROXY = sys.argv[1] if len(sys.argv) > 1 else "https://proxy.golang.org"
HERE = os.path.dirname(os.path.abspath(__file__))
VERSIONS = ["v0.0.1-go1.21.5.linux-amd64", "v0.0.1-go1.26.8.linux-amd64"]


def fetch(path):
    target = os.path.join(HERE, path)
    if not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with urllib.request.urlopen(f"{PROXY}/sumdb/sum.golang.org/{path}") as answer, open(target, "wb") as out:
            out.write(answer.read())
    with open(target, "rb") as file:
        return file.read()


def peaks(size):
    return [(level, (size >> level) - 1) for level in range(63, -1, -1) if size >> level & 1]


def tile(level, number, size):
    width = min((size >> 8 * level) - number * 256, 256)
    text, rest = f"{number % 1000:03d}", number // 1000
    while rest:
        text, rest = f"x{rest % 1000:03d}/{text}", rest // 1000
    fetch(f"tile/8/{level}/{text}" + (f".p/{width}" if width < 256 else ""))
    return width


def node(level, index, size):
    step = level // 8
    number = (index << level % 8) >> 8
    while tile(step, number, size) == 256 and size >> 8 * (step + 1):
        step, number = step + 1, number >> 8


heads = []
for version in VERSIONS:
    lines = fetch(f"lookup/golang.org/toolchain@{version}").decode().split("\n")
    record, size = int(lines[0]), int(lines[5])
    heads.append(size)
    for peak in peaks(size):
        node(*peak, size)
    node(0, record, size)
    if len(heads) == 2:
        for peak in peaks(heads[0]):
            node(*peak, size)
        first = int(fetch(f"lookup/golang.org/toolchain@{VERSIONS[0]}").decode().split("\n")[0])
        node(0, first, size)
assert heads[0] < heads[1], heads

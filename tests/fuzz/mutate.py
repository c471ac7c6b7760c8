"""Mutate whole files of every kind and read them: no crash, no hang, no code run, no error but ours.

    python tests/fuzz/mutate.py COUNT [TARGET...]

COUNT inputs of each target (of all of ``loaders.TARGETS``, if none is named). Input K of a target follows from its name
and K alone, so whoever runs this tries the same ones; ``--input TARGET K`` writes one to the standard output. They are
read in processes of their own: one that dies, or says nothing for ``LIMIT`` seconds, is counted with its input, and the
next goes on behind it.
"""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

LIMIT = 30  # seconds for an input
ODD = [0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "os.mkdir", "os.remove", "socket.connect")


def mutated(target: str, number: int, seeds: list[bytes]) -> bytes:
    """An input of a target: one of its seeds, or two that are joined, with up to eight changes."""
    chance = random.Random(f"{target} {number}")
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 8)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice([1, 1, 2, 4, 8, 8, 64, 512]))
        match chance.randrange(9):
            case 0 if data:
                data[min(start, len(data) - 1)] ^= 1 << chance.randrange(8)
            case 1:
                data[start:end] = chance.randbytes(end - start)
            case 2:
                size = chance.choice([1, 2, 4, 8])
                value = chance.choice(ODD) % (1 << 8 * size)
                data[start : start + size] = value.to_bytes(size, chance.choice(["little", "big"]))
            case 3:
                del data[start:end]
            case 4:
                data[start:start] = data[start:end] * chance.choice([1, 1, 2, 50])
            case 5:
                other = chance.choice(seeds)
                place = chance.randrange(len(other) + 1)
                data[start:end] = other[place : place + chance.choice([4, 16, 256])]
            case 6:
                del data[start:]
            case 7:
                data[start:end] = str(chance.choice([-1, *ODD])).encode()
            case _:
                place = chance.randrange(len(data) + 1)
                data[start:end], data[place : place + end - start] = data[place : place + end - start], data[start:end]
    return bytes(data)


def watch(event, arguments):
    """End the process where something is run, made or deleted, which reading a file never does."""
    written = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if WATCHED and (event in FORBIDDEN or written):
        print(f"ran {event} {arguments}", flush=True)
        os._exit(3)


WATCHED = []


def child(target: str, first: int, last: int):
    """Read the inputs, and say before each its number, and after it what the reader did not refuse in its own words."""
    from loaders import TARGETS, place_bytes

    warnings.simplefilter("ignore")
    _, make, read, seeds = TARGETS[target]
    sys.addaudithook(watch)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            print(number, flush=True)
            path = place_bytes(target, mutated(target, number, seeds), Path(folder))
            WATCHED.append(True)
            try:
                read(path)
            except BaseException:  # also those that are no Exception
                lines = traceback.format_exc().strip().splitlines()
                print(f"raised {lines[-1][:300]} {lines[-3].strip()[:120]}", flush=True)
            WATCHED.clear()


def run(target: str, count: int) -> Counter:
    """All inputs of a target; what went wrong is printed, and counted by its kind."""
    wrong, number = Counter(), 0
    while number < count:
        first = number
        command = [sys.executable, __file__, "--child", target, str(number), str(count)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:
            buffered, kind = b"", ""
            while not kind:
                ready, _, _ = select.select([process.stdout], [], [], LIMIT)
                piece = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
                if not piece:
                    kind = "ended" if ready else "hangs"
                *lines, buffered = (buffered + piece).split(b"\n")
                for line in lines:
                    if line.isdigit():
                        number = int(line) + 1
                    else:
                        wrong[line.split()[0].decode()] += 1
                        print(f"{target} {number - 1}: {line.decode()}", flush=True)
            process.kill() if kind == "hangs" else process.wait()
        if kind == "hangs" or process.returncode not in (0, 3):
            kind = kind if kind == "hangs" else f"died of {-process.returncode}"
            wrong[kind] += 1
            number = max(number, first + 1)
            print(f"{target} {number - 1}: {kind}", flush=True)
        elif process.returncode == 0:
            break
    return wrong


def main():
    if sys.argv[1] == "--child":
        child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
    from loaders import TARGETS

    if sys.argv[1] == "--input":
        sys.stdout.buffer.write(mutated(sys.argv[2], int(sys.argv[3]), TARGETS[sys.argv[2]][3]))
        return
    if unknown := sys.argv[2:] and set(sys.argv[2:]) - set(TARGETS):
        sys.exit(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    failed = False
    for target in sys.argv[2:] or TARGETS:
        wrong = run(target, int(sys.argv[1]))
        print(f"{target}: {int(sys.argv[1]):,} inputs, {dict(wrong) or 'nothing wrong'}", flush=True)
        failed |= bool(wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()

"""Landlock: a process on Linux (5.13 or newer) gives up rights to files by itself, without being root.

There is no library of it in Python, so the three system calls are here.
"""

import ctypes
import os
import sys

ENTER = 1 << 3  # to list a folder
LOOK = 1 << 0 | 1 << 2 | ENTER  # to run and to read files, too
ALL = (1 << 13) - 1  # what the first version of Landlock knows: to write, to make and to remove, too
OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14  # what makes sense for a file
LATER = {2: 1 << 13, 3: 1 << 14}  # to move files between folders; to cut them off
CREATE, ADD, RESTRICT = 444, 445, 446  # the system calls, of the same numbers on all processors


def version():
    """The version of Landlock here; 0 if there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, ctypes.CDLL(None, use_errno=True).syscall(CREATE, None, ctypes.c_size_t(0), 1))


def confine(write, read, enter):
    """Restrict this thread, and whatever it starts, to these files and folders; for good."""
    libc, level = ctypes.CDLL(None, use_errno=True), version()
    handled = ALL | sum(right for since, right in LATER.items() if level >= since)
    scope = 2 if level >= 6 else 0  # no signal to a process outside
    attributes = (ctypes.c_uint64 * 3)(handled, 0, scope)
    rules = libc.syscall(CREATE, attributes, ctypes.c_size_t(24 if level >= 6 else 8), 0)
    for rights, paths in ((handled, write), (LOOK, read), (ENTER, enter)):
        for path in filter(os.path.exists, paths):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = rights & handled & (-1 if os.path.isdir(path) else OF_FILES)
            rule = allowed.to_bytes(8, sys.byteorder) + descriptor.to_bytes(4, sys.byteorder)  # packed
            libc.syscall(ADD, rules, 1, rule, 0)
            os.close(descriptor)
    if libc.prctl(38, 1, 0, 0, 0) or libc.syscall(RESTRICT, rules, 0):  # no new privileges; then the rules
        raise OSError(ctypes.get_errno(), "Landlock does not restrict this process")
    os.close(rules)

"""Side by side: functions that are compared take turns, so that a machine that slows down slows all of them."""

from time import perf_counter

import numpy as np

LEAST = 0.02  # seconds of a turn: a function that is faster is called several times


def turns(functions, repeats):
    """Seconds of one call of each function, as a list of one number for each turn."""
    calls = {name: max(1, round(LEAST / seconds_of(function, 2))) for name, function in functions.items()}
    seconds = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            seconds[name].append(seconds_of(function, calls[name]))
    return seconds


def seconds_of(function, calls=1):
    """Of one call, on average."""
    start = perf_counter()
    for _ in range(calls):
        function()
    return (perf_counter() - start) / calls


def summary(seconds):
    """Median and quartiles."""
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    return {"median": float(median), "quartiles": [float(low), float(high)], "repeats": len(seconds)}


def medians(functions, repeats):
    return {name: summary(seconds) for name, seconds in turns(functions, repeats).items()}

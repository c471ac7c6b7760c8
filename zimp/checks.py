"""The door of this package: weights and masks, whatever they come as, as numpy arrays that are known to be right."""

from __future__ import annotations

import sys
from operator import index

import numpy as np
from scipy.sparse import issparse


def as_matrix(weights) -> np.ndarray:
    """``weights`` as a finite numpy matrix that compares exactly as the original does; the door of this package.

    A view where it can be, so not to be written to.
    """
    weights = as_real(weights)
    check_matrix_shape(weights.shape)
    if not np.isfinite(weights).all():
        raise not_finite(weights)
    return weights


def not_finite(weights) -> ValueError:
    """The error that names the first weight which is not finite."""
    if issparse(weights):
        return ValueError("a stored entry of the sparse array is not finite; did the training diverge?")
    weights = as_real(weights)
    row, col = np.argwhere(~np.isfinite(weights))[0]
    return ValueError(
        f"weights[{row}, {col}] is {weights[row, col]}; all weights must be finite. Did the training diverge?"
    )


def check_matrix_shape(shape):
    """A layer is a non-empty matrix."""
    if 0 in shape:
        raise ValueError(f"weights have shape {tuple(shape)}; a layer needs at least one output and one input")
    if len(shape) != 2:
        raise ValueError(
            f"weights have shape {tuple(shape)}; a layer is a matrix (outputs, inputs). "
            "A convolution becomes one with zimp.layer_graph"
        )


def as_real(weights) -> np.ndarray:
    """``weights`` as a numpy array of floats, of any shape. Integers are widened, which changes no order."""
    weights = to_numpy(weights)
    if weights.dtype.kind in "iu":
        if weights.size and max(int(weights.max()), -int(weights.min())) > 2**53:
            raise ValueError("integer weights above 2**53 are not exact as floats; divide them by a common factor")
        weights = weights.astype(np.float64)
    if weights.dtype.kind != "f" or weights.dtype.itemsize > 8:
        raise ValueError(
            f"weights have dtype {weights.dtype}; a layer's weights are real numbers of at most 64 bits "
            "(a mask goes into the argument mask)"
        )
    return weights


def as_mask(mask, shape: tuple[int, ...]) -> np.ndarray | None:
    """``mask`` as a boolean numpy array of ``shape``, or None if there is none."""
    if mask is None:
        return None
    mask = to_numpy(mask)
    if mask.dtype.kind not in "biuf":
        raise ValueError(f"mask has dtype {mask.dtype}; a mask is boolean, or of the numbers 0 and 1")
    if mask.shape != tuple(shape):
        raise ValueError(f"mask has shape {mask.shape}, the weights have {tuple(shape)}; a mask has one entry a weight")
    if mask.dtype != bool:
        if not np.isin(mask, (0, 1)).all():
            raise ValueError("mask has entries other than 0 and 1; it says which weights exist, not how large they are")
        mask = mask.astype(bool)
    return mask


def to_numpy(array) -> np.ndarray:
    """A numpy array with the entries of ``array``: of any array-like, or of a torch tensor on any device."""
    if issparse(array):
        raise ValueError("a sparse array is taken only as weights of zimp.spanning_forest and its like; use toarray()")
    if np.ma.is_masked(array):
        raise ValueError(
            "a masked array hides some of its entries, which are weights all the same; pass array.data, and for the "
            "mask ~array.mask"
        )
    try:
        if not is_tensor(array):
            return np.asarray(array)
        return (array.float() if str(array.dtype) == "torch.bfloat16" else array).numpy(force=True)
    except (TypeError, ValueError, RuntimeError) as error:  # numpy's of ragged rows; torch's of what is no plain tensor
        if is_tensor(array):
            what = f"a {type(array).__name__} of {array.dtype} in the layout {array.layout} on {array.device}"
            advice = "make it a dense one of ordinary floats first, e.g. by to_dense(), dequantize() or float()"
        else:
            what, advice = f"a {type(array).__name__}", "are all rows equally long?"
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise ValueError(f"{what} is no array of numbers ({reason}); {advice}") from None


def is_tensor(array) -> bool:
    """Whether it is a torch tensor, told without importing torch."""
    return "torch" in sys.modules and isinstance(array, sys.modules["torch"].Tensor)


def has_bits(tensor) -> bool:
    """Whether a torch tensor is nothing but its numbers in memory, so that their bits can be read."""
    torch = sys.modules["torch"]
    plain = type(tensor) in (torch.Tensor, torch.nn.Parameter)  # other classes may store them in any way
    return plain and tensor.layout == torch.strided and not (tensor.is_nested or tensor.is_meta)


def as_list(name: str, values) -> list:
    """A sequence as a list."""
    try:
        return list(values)
    except (TypeError, ValueError, RuntimeError) as error:  # the latter of tensors without rows
        raise ValueError(f"{name} is a {type(values).__name__}, which is no sequence; give a list") from error


def check_choice(name: str, value, choices):
    """One of a few words."""
    if not (isinstance(value, str) and value in choices):
        raise ValueError(f"{name}={value!r} is unknown; it is one of {', '.join(map(repr, choices))}")


def per_dimension(name: str, value, dimensions, least) -> tuple[int, ...]:
    try:
        values = tuple(value)
    except (TypeError, ValueError, RuntimeError):  # one number, of a tensor maybe
        values = (value,) * (dimensions or 1)
    values = tuple(whole(name, value) for value in values)
    if not values or dimensions not in (None, len(values)):
        raise ValueError(
            f"{name}={value!r} has {len(values)} numbers; it needs one for each of {dimensions} dimensions"
        )
    if min(values) < least:
        raise ValueError(f"{name}={value!r} is below {least}")
    return values


def whole(name: str, value, what="a whole number") -> int:
    """A whole number as an int; ``what`` says which it should have been."""
    try:
        return index(value)
    except (TypeError, ValueError, RuntimeError):  # the latter of tensors
        raise ValueError(f"{name}={value!r} is not {what}") from None


def number(name: str, value) -> float:
    """A real number as a float, such as Python's, numpy's, or the only entry of a tensor."""
    try:
        return float(None if isinstance(value, str | bytes) else value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise ValueError(f"{name}={value!r} is not a number") from None


def at_least_one(name: str, value) -> int:
    """How many outputs or inputs a layer has."""
    value = whole(name, value)
    if value < 1:
        raise ValueError(f"{name}={value} is not positive; a layer has at least one output and one input")
    return value


def check_seed(seed, name="seed") -> int:
    """A seed as an int, of at most as many bits as torch takes."""
    seed = check_count(name, seed, 0)
    if seed >= 2**63:
        raise ValueError(f"{name}={seed} has more than 63 bits, which torch does not take")
    return seed


def check_count(name, value, least=1) -> int:
    """A count as an int, of at least ``least``."""
    what = f"a whole number of at least {least}"
    count = whole(name, value, what)
    if count < least:
        raise ValueError(f"{name}={value!r} is not {what}")
    return count

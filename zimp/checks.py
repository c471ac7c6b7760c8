"""Validate weights, masks and numbers and convert them to numpy arrays; all other modules trust the result.

Weights and masks become numpy arrays, whatever they come as: lists, arrays, torch tensors on any device. Numbers,
rates and seeds become Python's. An error says the value, the rule and the likely mistake; nothing is repaired silently.
"""

from __future__ import annotations

import sys
from numbers import Real
from operator import index
from typing import NamedTuple

import numpy as np
from scipy.sparse import bsr_array, coo_array, csc_array, csr_array, issparse

# Weights and masks


BFLOAT16 = np.dtype([("bfloat16", "<i2")])  # numpy has none: an array of its bits says so by the name of its field


class Layer(NamedTuple):
    """A validated layer as a graph. Whether its weights are finite is checked later, when they are read.

    Attributes
    ----------
    values : float array of shape ``(m, n)``, or csr_array
        Of bfloat16, which numpy has not, the bits. Of a sparse array the stored entries are the edges.
    form : str
        ``"float16"``, ``"bfloat16"``, ``"float32"`` or ``"float64"``.
    mask : boolean array of shape ``(m, n)``, or None
        Which edges exist; None for all.
    """

    values: np.ndarray | csr_array
    form: str
    mask: np.ndarray | None


def as_layer(weights, mask=None) -> Layer:
    """Validate a layer for its spanning forest; copy its weights only if necessary."""
    if is_sparse(weights):
        if mask is not None:
            raise ValueError("mask was given together with a sparse array; its stored entries are the edges already")
        values = _as_csr(weights)
        return Layer(values, values.dtype.name, None)
    if getattr(weights, "dtype", None) == BFLOAT16:
        values, form = weights["bfloat16"], "bfloat16"
    elif is_tensor(weights) and str(weights.dtype) == "torch.bfloat16":
        values, form = _bits_of_bfloat16(weights), "bfloat16"
    else:
        values = as_array(weights)
        form = values.dtype.name
    _check_matrix_shape(values.shape)
    return Layer(values, form, as_mask(mask, values.shape))


def as_matrix(weights) -> np.ndarray:
    """Convert ``weights`` to a finite numpy matrix whose entries compare as the given ones do; a view if possible."""
    weights = as_array(weights)
    _check_matrix_shape(weights.shape)
    return check_finite(weights)


def as_weight(weight, mask=None, name="weights") -> tuple[np.ndarray, np.ndarray | None]:
    """The weight of a network's layer, finite and of its own shape, and its mask; as :func:`as_matrix`."""
    weight = as_array(weight, name)
    if 0 in weight.shape:
        raise _empty(weight.shape, name)
    return check_finite(weight, name), as_mask(mask, weight.shape)


def as_array(weights, name="weights") -> np.ndarray:
    """``weights`` as a numpy array of floats, of any shape. Integers are widened, which changes no order."""
    weights = to_numpy(weights, name)
    if weights.dtype.kind in "iu":
        if weights.size and max(int(weights.max()), -int(weights.min())) > 2**53:
            raise ValueError(f"integer {name} above 2**53 are not exact as floats; divide them by a common factor")
        weights = weights.astype(np.float64)
    if weights.dtype.kind != "f" or weights.dtype.itemsize > 8:
        raise ValueError(
            f"{name} {_verb(name)} dtype {weights.dtype}; the weights of a layer must be real numbers "
            "of at most 64 bits (a mask goes into the argument mask)"
        )
    return weights.astype(weights.dtype.name, copy=False)  # where bytes are in another order


def as_mask(mask, shape: tuple[int, ...]) -> np.ndarray | None:
    """``mask`` as a boolean numpy array of ``shape``, or None if there is none."""
    if mask is None:
        return None
    mask = to_numpy(mask, "mask")
    if mask.dtype.kind not in "biuf":
        raise ValueError(f"mask has dtype {mask.dtype}; it must be boolean, or hold only the numbers 0 and 1")
    if mask.shape != tuple(shape):
        raise ValueError(
            f"mask has shape {mask.shape}, but the weights have shape {tuple(shape)}; "
            "a mask must have one entry for each weight"
        )
    if mask.dtype != bool:
        if not np.isin(mask, (0, 1)).all():
            raise ValueError(
                "mask has entries other than 0 and 1; a mask must say which weights exist, not how large they are"
            )
        mask = mask.astype(bool)
    return mask


class NotFinite(ValueError):
    """A number is NaN or infinite: ``value``, at the index ``where``."""

    def __init__(self, message, where=None, value=None):
        super().__init__(message)
        self.where, self.value = where, value


def check_finite(weights: np.ndarray, name="weights", what=None, advice="Did the training diverge?") -> np.ndarray:
    """Return the weights; raise if one is NaN or infinite. Other numbers are told by ``what`` they are, and advice."""
    if not np.isfinite(weights).all():
        where = np.argwhere(~np.isfinite(weights))[0]
        value = weights[tuple(where)]
        message = f"{name}[{', '.join(map(str, where))}] is {value}; all {what or name} must be finite. {advice}"
        raise NotFinite(message, where, value)
    return weights


def check_layer_finite(layer: Layer):
    """Raise the error of :func:`check_finite` for a layer that has weights which are not finite."""
    if issparse(layer.values):
        if not np.isfinite(layer.values.data).all():
            raise ValueError("a stored entry of the sparse array is not finite; did the training diverge?")
    elif layer.form == "bfloat16":
        check_finite(from_bits(layer.values))
    else:
        check_finite(layer.values)


def _check_matrix_shape(shape):
    if 0 in shape:
        raise _empty(shape)
    if len(shape) != 2:
        raise ValueError(
            f"weights have shape {tuple(shape)}; a layer is a matrix (outputs, inputs). "
            "A convolution becomes one with zimp.layer_graph"
        )


def _empty(shape, name="weights") -> ValueError:
    return ValueError(f"{name} {_verb(name)} shape {tuple(shape)}; a layer needs at least one output and one input")


def _verb(name) -> str:
    return "have" if name.endswith("s") and not name.endswith("bias") else "has"


def to_numpy(array, name="weights") -> np.ndarray:
    """A numpy array with the entries of ``array``: of any array-like, or of a torch tensor on any device."""
    if is_sparse(array):
        raise ValueError(
            "the mask is a sparse array; give it dense, as its toarray() or to_dense()"
            if name == "mask"
            else "this function takes no sparse array; give a dense one, together with a mask of the stored entries, "
            "because absent entries would otherwise become weights of 0"
        )
    if is_network(array) or hasattr(array, "_fields"):  # the latter of zimp.LayerGraph
        raise ValueError(
            f"{name} is a {type(array).__name__}, but must be an array of numbers; "
            + ("give the weight of one layer, such as layer.weight" if is_network(array) else "unpack it: *graph")
        )
    if np.ma.is_masked(array):
        raise ValueError("a masked array hides weights that still exist; pass array.data, and for the mask ~array.mask")
    try:
        if not is_tensor(array):
            array = np.asarray(array)
            return from_bits(array["bfloat16"]) if array.dtype == BFLOAT16 else array
        return (array.float() if str(array.dtype) == "torch.bfloat16" else array).numpy(force=True)
    except (TypeError, ValueError, RuntimeError) as error:  # numpy's of ragged rows; torch's of what is no plain tensor
        raise _no_array(array, error) from None


def _no_array(array, error) -> ValueError:
    if is_tensor(array):
        what = f"a {type(array).__name__} of {array.dtype} in the layout {array.layout} on {array.device}"
        advice = "make it one of ordinary floats first, e.g. by dequantize() or float(), outside of any transform"
    else:
        what, advice = f"a {type(array).__name__}", "are all rows equally long?"
    reason = str(error).partition("\n")[0].partition(". ")[0]
    return ValueError(f"{what} cannot be converted to an array of numbers ({reason}); {advice}")


def from_bits(bits: np.ndarray) -> np.ndarray:
    """The numbers of which these are the bits as bfloat16: the upper half of a float32."""
    return (bits.astype(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _bits_of_bfloat16(tensor) -> np.ndarray:
    torch = sys.modules["torch"]
    try:
        return tensor.detach().resolve_neg().view(torch.int16).numpy(force=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _no_array(tensor, error) from None


def _as_csr(weights) -> csr_array:
    if weights.ndim != 2 or 0 in weights.shape:
        raise ValueError(f"weights have shape {tuple(weights.shape)}; a layer is a non-empty matrix (outputs, inputs)")
    weights = csr_array(_from_torch(weights) if is_tensor(weights) else weights)
    if not weights.has_canonical_format:
        raise ValueError("the sparse array has entries twice or out of order; call its sum_duplicates() first")
    return csr_array((as_array(weights.data), weights.indices, weights.indptr), weights.shape)


def _from_torch(tensor):
    """Scipy's array of a sparse tensor, with the same stored entries."""
    tensor = tensor.detach().cpu()
    layout = str(tensor.layout).removeprefix("torch.sparse_")
    if layout == "coo" and not tensor.is_coalesced():
        raise ValueError("the sparse tensor may have entries twice; call its coalesce() first")
    values = tensor.values()
    halves = str(values.dtype) in ("torch.float16", "torch.bfloat16")  # which scipy has not
    values = to_numpy(values.float() if halves else values)
    try:
        if layout == "coo":
            return coo_array((values, tuple(tensor.indices().numpy())), tensor.shape)
        if layout == "csc":
            return csc_array((values, tensor.row_indices().numpy(), tensor.ccol_indices().numpy()), tensor.shape)
        kind = {"csr": csr_array, "bsr": bsr_array}[layout]
        return kind((values, tensor.col_indices().numpy(), tensor.crow_indices().numpy()), tensor.shape)
    except (KeyError, ValueError, TypeError) as error:  # of blocks by columns, of tensors that are sparse in one index
        raise _no_array(tensor, error) from None


def is_tensor(array) -> bool:
    """Whether it is a torch tensor, told without importing torch."""
    return "torch" in sys.modules and isinstance(array, sys.modules["torch"].Tensor)


def is_sparse(array) -> bool:
    """Whether it is a sparse array of scipy's, or a sparse tensor of torch's."""
    return issparse(array) or (is_tensor(array) and str(array.layout).startswith("torch.sparse_"))


# Networks


def is_network(model) -> bool:
    """Whether it is a torch module, told without importing torch."""
    return "torch" in sys.modules and isinstance(model, sys.modules["torch"].nn.Module)


def check_network(model):
    """A network is a module, not its class, and not the function that builds it."""
    if not is_network(model):
        raise ValueError(f"model is a {type(model).__name__}, not a torch.nn.Module; build the network first")


# Words, lists and numbers


def as_list(name: str, values) -> list:
    """Convert a sequence to a list."""
    try:
        return list(values)
    except (TypeError, ValueError, RuntimeError) as error:  # the latter of tensors without rows
        raise ValueError(f"{name} is a {type(values).__name__}, but must be a sequence; give a list") from error


def check_choice(name: str, value, choices):
    """Check that a word is one of the choices."""
    if not (isinstance(value, str) and value in choices):
        raise ValueError(f"{name}={value!r} is unknown; it must be one of {', '.join(map(repr, choices))}")


def whole(name: str, value, what="a whole number") -> int:
    """Convert a whole number to an int; ``what`` describes it in the error message."""
    try:
        return index(None if _is_bool(value) else value)
    except (TypeError, ValueError, RuntimeError):  # the latter of tensors
        raise ValueError(f"{name}={value!r} is not {what}") from None


def number(name: str, value) -> float:
    """A real number as a float, such as Python's, numpy's, or the only entry of a tensor."""
    try:
        return float(None if isinstance(value, str | bytes) or _is_bool(value) else value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise ValueError(f"{name}={value!r} is not a number") from None


def _is_bool(value) -> bool:
    """True counts as 1 in Python; where a number is wanted it is a mistake."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")


def at_least_one(name: str, value) -> int:
    """Check a number of outputs or inputs: an int of at least 1."""
    value = whole(name, value)
    if value < 1:
        raise ValueError(f"{name}={value} is not positive; a layer has at least one output and one input")
    return value


def per_dimension(name: str, value, dimensions, least) -> tuple[int, ...]:
    """One whole number for each dimension of an image."""
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
        raise ValueError(f"{name}={value!r} is below {least}, the smallest number allowed")
    return values


def check_count(name: str, value, least=1) -> int:
    """A count as an int, of at least ``least``."""
    what = f"a whole number of at least {least}"
    count = whole(name, value, what)
    if count < least:
        raise ValueError(f"{name}={value!r} is not {what}")
    return count


def check_seed(seed, name="seed") -> int:
    """A seed as an int, of at most as many bits as torch takes."""
    seed = check_count(name, seed, 0)
    if seed >= 2**63:
        raise ValueError(f"{name}={seed} has more than 63 bits; torch accepts only smaller seeds")
    return seed


def check_rate(rate, name) -> float:
    """A rate as a float, strictly between 0 and 1."""
    if not (isinstance(rate, Real) and 0 < rate < 1):
        raise ValueError(
            f"{name}={rate!r} must lie strictly between 0 and 1; 0.2 prunes a fifth of the remaining weights"
        )
    return float(rate)

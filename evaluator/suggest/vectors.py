"""Embeddings that someone brings. In: npz or Parquet bytes, a stranger's; out: ids and finite features.

Nothing is unpickled and nothing is unpacked to disk: members of an npz are read from memory up to a stated size, and an
array is made only when its bytes are there. Torch-free.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evaluator.errors import InputError, ProblemLog

MIB = 1024**2
MAX_DIMENSIONS = 8192
MAX_ID_CHARS = 500
MAX_MEMBERS = 32
MAX_HEADER = 10_000  # of one array, in bytes
FOOTER_LIMITS = {"thrift_string_size_limit": 16 * MIB, "thrift_container_size_limit": 1_000_000}
FORM = "An npz holds the arrays `id` and `embedding`, a Parquet file columns of these names."


@dataclass(frozen=True, kw_only=True)
class VectorLimits:
    """How much a file may hold; `unpacked_bytes` of all that is read of it."""

    file_bytes: int = 256 * MIB
    unpacked_bytes: int = 512 * MIB
    rows: int = 200_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Vectors:
    """ids: distinct; features: (n, d) float32, finite."""

    ids: list[str]
    features: NDArray[np.float32]


def read_vectors(content: bytes, limits: VectorLimits) -> Vectors:
    """An npz with `id` (n,) and `embedding` (n, d), one written by `answer` (`dataset` and `image_id` for `id`), or a
    Parquet file with the columns `id` and `embedding` (lists of numbers of one length).

    Raises InputError with every fault found.
    """
    if len(content) > limits.file_bytes:
        raise _refused("embeddings_too_large", f"The file has more than {limits.file_bytes // MIB} MiB. Send a part.")
    if content[:4] == b"PK\x03\x04":
        ids, features = _read_npz(content, limits)
    elif content[:4] == b"PAR1":
        ids, features = _read_parquet(content, limits)
    else:
        raise _refused("unknown_format", f"The file is neither npz nor Parquet. {FORM}")
    return _checked(ids, features, limits)


def _refused(code: str, message: str) -> InputError:
    return InputError.single(code, message, field="embeddings")


def _read_npz(content: bytes, limits: VectorLimits) -> tuple[list[str], NDArray]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            if len(infos) > MAX_MEMBERS:
                raise _refused("too_many_arrays", f"The npz holds {len(infos)} arrays, at most {MAX_MEMBERS}. {FORM}")
            found = {info.filename.removesuffix(".npy"): info for info in infos}
            if "embedding" not in found or not ("id" in found or {"dataset", "image_id"} <= set(found)):
                named = ", ".join(sorted(found))[:200] or "nothing"
                raise _refused("missing_array", f"The npz holds {named}. {FORM}")
            left = limits.unpacked_bytes
            arrays = {}
            for name in ("embedding", *(("id",) if "id" in found else ("dataset", "image_id"))):
                raw = _unpacked(archive, found[name], left)
                left -= len(raw)
                arrays[name] = _as_array(raw, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise _refused("damaged_npz", f"The npz is damaged or cut off ({error}). Write it again.") from error
    if "id" in arrays:
        return _as_texts(arrays["id"]), arrays["embedding"]
    datasets, images = _as_texts(arrays["dataset"]), _as_texts(arrays["image_id"])
    return [f"{dataset}/{image}" for dataset, image in zip(datasets, images, strict=False)], arrays["embedding"]


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """The bytes of a member, whatever its header claims, as long as they are no more than `most`."""
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused("damaged_npz", "The npz is encrypted or packed in a way that numpy does not. Write it again.")
    with archive.open(info) as member:
        raw = member.read(most + 1)
    if len(raw) > most:
        raise _refused("embeddings_too_large", "The arrays are too large when unpacked. Send a part of them.")
    return raw


def _as_array(raw: bytes, name: str) -> NDArray:
    """The array in an npy file; its bytes must be exactly those that its header asks for."""
    file = io.BytesIO(raw)
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(file, max_header_size=MAX_HEADER)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise _refused("damaged_npz", f"The array `{name}` is damaged. Write the npz again.") from error
    if dtype.hasobject or dtype.kind not in "fiuUS":
        message = (
            f"The array `{name}` holds {dtype.kind!r} objects. Store text or numbers, as np.array(names, dtype=str)."
        )
        raise _refused("bad_type", message)
    rest = memoryview(raw)[file.tell() :]
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(rest):
        raise _refused("damaged_npz", f"The array `{name}` is cut off or longer than it says. Write the npz again.")
    if not dtype.itemsize:
        return np.zeros(shape, dtype)
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C")


def _as_texts(array: NDArray) -> list[str]:
    if array.ndim != 1 or array.dtype.kind == "f":
        raise _refused(
            "bad_type", f"The ids are an array of shape {array.shape} of {array.dtype}. Store a list of texts."
        )
    if array.dtype.kind == "S":
        try:
            return [value.decode("utf-8") for value in array.tolist()]
        except UnicodeDecodeError as error:
            raise _refused("bad_id", f"An id is no UTF-8 ({error}). Store the ids as text.") from error
    return [str(value) for value in array.tolist()]


def _read_parquet(content: bytes, limits: VectorLimits) -> tuple[list[str], NDArray]:
    try:
        with pq.ParquetFile(io.BytesIO(content), **FOOTER_LIMITS) as parquet:
            _check_claims(parquet.metadata, parquet.schema_arrow, limits)
            table = parquet.read(columns=["id", "embedding"])
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise _refused(
            "damaged_parquet", f"The Parquet file is damaged or cut off ({first}). Write it again."
        ) from error
    ids, lists = table["id"].combine_chunks(), table["embedding"].combine_chunks()
    if ids.null_count or lists.null_count:
        raise _refused("empty_value", "Some rows have no id or no embedding. Leave them out, or fill them.")
    if pa.types.is_fixed_size_list(lists.type):
        width = lists.type.list_size
    else:
        lengths = np.unique(lists.value_lengths().to_numpy(zero_copy_only=False))
        if len(lengths) > 1:
            message = f"The embeddings have between {lengths[0]} and {lengths[-1]} numbers. Give all the same length."
            raise _refused("other_length", message)
        width = int(lengths[0]) if len(lengths) else 0
    values = lists.flatten()
    if values.null_count:
        raise _refused("empty_value", "Some embeddings hold empty numbers. Leave these rows out, or fill them.")
    return [str(name) for name in ids.to_pylist()], values.to_numpy(zero_copy_only=False).reshape(len(ids), width)


def _check_claims(metadata: pq.FileMetaData, schema: pa.Schema, limits: VectorLimits) -> None:
    missing = [name for name in ("id", "embedding") if schema.names.count(name) != 1]
    if missing:
        raise _refused("missing_column", f"The Parquet file lacks the column {' and '.join(missing)}. {FORM}")
    if metadata.num_rows > limits.rows:
        raise _too_many_rows(metadata.num_rows, limits)
    if sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)) > limits.unpacked_bytes:
        raise _refused("embeddings_too_large", "The columns are too large when unpacked. Send a part of them.")
    names, vectors = schema.field("id").type, schema.field("embedding").type
    is_text = pa.types.is_string(names) or pa.types.is_large_string(names) or pa.types.is_integer(names)
    is_list = any(test(vectors) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))
    is_numbers = is_list and (pa.types.is_floating(vectors.value_type) or pa.types.is_integer(vectors.value_type))
    if not is_text or not is_numbers:
        message = f"`id` holds {names}, `embedding` {vectors}. Store text, and lists of numbers."
        raise _refused("bad_type", message)


def _too_many_rows(found: int, limits: VectorLimits) -> InputError:
    return _refused("too_many_rows", f"The file has {found:,} rows, at most {limits.rows:,} are taken. Send a part.")


def _checked(ids: Sequence[str], features: NDArray, limits: VectorLimits) -> Vectors:
    if features.ndim != 2 or features.dtype.kind not in "fiu":
        message = f"`embedding` has the shape {features.shape} of {features.dtype}. Store one row of numbers per image."
        raise _refused("bad_shape", message)
    if len(ids) != len(features):
        raise _refused("other_length", f"There are {len(ids):,} ids and {len(features):,} embeddings. Give one each.")
    if not len(ids):
        raise _refused("no_rows", "The file holds no embedding.")
    if len(ids) > limits.rows:
        raise _too_many_rows(len(ids), limits)
    if not 1 <= features.shape[1] <= MAX_DIMENSIONS:
        message = f"The embeddings have {features.shape[1]:,} numbers, at most {MAX_DIMENSIONS:,} are taken."
        raise _refused("too_wide", message)
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(features, dtype=np.float32)
    _check_rows(ids, vectors)
    return Vectors(ids=list(ids), features=vectors)


def _check_rows(ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
    log, first = ProblemLog(), dict[str, int]()
    finite: list[bool] = np.isfinite(vectors).min(axis=1).tolist()
    for row, name in enumerate(ids, 1):
        if not name or len(name) > MAX_ID_CHARS or not _is_text(name):
            log.add("bad_id", f"The id is empty, longer than {MAX_ID_CHARS} characters, or no text.", row=row)
        elif first.setdefault(name, row) != row:
            log.add("duplicate_id", f"{name[:200]!r} is the id of row {first[name]} as well.", row=row)
        if not finite[row - 1]:
            log.add("not_finite", "The embedding holds NaN, or a number too large for float32.", row=row)
    log.raise_if_any()


def _is_text(name: str) -> bool:
    return not any(character < " " or "\x7f" <= character < "\xa0" or "\ud800" <= character <= "\udfff"
                   for character in name)  # fmt: skip

"""Image embeddings beside the answers, for label efficiency. In/out: embeddings.parquet. Torch-free."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def embeddings_table(items: pa.Table, embeddings: np.ndarray) -> pa.Table:
    """Columns dataset, image_id, embedding; `embeddings` (items, d) float32 in the order of `items`."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(embeddings.reshape(-1)), embeddings.shape[1])
    return pa.table({"dataset": items["dataset"], "image_id": items["image_id"], "embedding": vectors})


def embeddings_array(table: pa.Table) -> np.ndarray:
    """The embeddings of a table, (items, d) float32, in its row order."""
    column = table["embedding"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), column.type.list_size)


def write_embeddings(table: pa.Table, path: Path) -> None:
    """Write embeddings.parquet; float vectors do not compress, so none is tried."""
    pq.write_table(table, path, compression="none", use_dictionary=["dataset"])


def read_embeddings(path: Path) -> pa.Table:
    """Read embeddings.parquet."""
    return pq.read_table(path)

"""Which rows of a split a protocol asks, and as which texts. In: QUESTIONS; out: Asked. Torch-free."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.answers import Protocol
from evaluator.architectures.architecture import Family
from evaluator.errors import InputError
from evaluator.release.read import item_ids
from evaluator.release.schema import COGNITION, LOCALISATION

# What each family can answer, its default first, and why it cannot answer the others.
PROTOCOLS = {
    Family.CONTRASTIVE: (Protocol.CAPTIONS, Protocol.QUESTIONS),
    Family.GENERATIVE: (Protocol.QUESTIONS, Protocol.LETTER),
    Family.DETECTOR: (Protocol.BOXES,),
}
LIMITS = {
    Family.CONTRASTIVE: "compares an image with texts; it writes nothing",
    Family.GENERATIVE: "writes answers to questions; it compares no image with captions",
    Family.DETECTOR: "draws boxes; it answers no question",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The rows asked, in canonical order; row r owns the pairs offsets[r]:offsets[r + 1], one per option.

    texts: every distinct text once, in order of first use. text_of (pairs,): its index. image_of (rows,): the item's
    place in the items table. offsets (rows + 1,).
    """

    rows: pa.Table
    texts: list[str]
    text_of: np.ndarray
    image_of: np.ndarray
    offsets: np.ndarray


def default_protocol(family: Family) -> Protocol:
    """How models of this family are asked when nothing else is said: as the paper asks them."""
    return PROTOCOLS[family][0]


def require_protocol(protocol: Protocol, family: Family) -> None:
    """Raise InputError `protocol_not_supported` for a protocol that this family cannot answer."""
    possible = PROTOCOLS[family]
    if protocol not in possible:
        message = (f"A {family} model {LIMITS[family]}, so the protocol '{protocol}' does not apply. "
                   f"Use {' or '.join(possible)}.")  # fmt: skip
        raise InputError.single("protocol_not_supported", message, field="protocol")


def ask(items: pa.Table, questions: pa.Table, protocol: Protocol) -> Asked:
    """The rows of `questions` that `protocol` asks, with their option texts.

    captions: both caption variants, options as they are, and cognition in question form, since it has no captions.
    questions, letter: every question form. In question form a text is the question + " " + the option. Localisation is
    asked by `ask_localisation`. Raises InputError when the split has nothing in this form (cognition alone counts only
    where there is nothing else), ValueError when a question names no item.
    """
    is_question_form = pc.is_null(questions["variant"])
    has_options = pc.not_equal(questions["question"], LOCALISATION)
    is_cognition = pc.starts_with(questions["question"], f"{COGNITION}_")
    has_form = pc.invert(is_question_form) if protocol is Protocol.CAPTIONS else is_question_form
    wanted = pc.and_(has_options, pc.or_(has_form, is_cognition))
    others = pc.and_(has_options, pc.invert(is_cognition))
    expected = others if pc.any(others).as_py() or protocol is Protocol.CAPTIONS else is_cognition
    if not pc.any(pc.and_(expected, has_form)).as_py():
        other = Protocol.QUESTIONS if protocol is Protocol.CAPTIONS else Protocol.CAPTIONS
        message = f"This split has no rows for the protocol '{protocol}'. Use --protocol {other}."
        raise InputError.single("nothing_to_ask", message, field="protocol")
    rows = questions.filter(wanted)
    rows = rows.combine_chunks()
    image_of = pc.index_in(item_ids(rows), value_set=item_ids(items))
    if image_of.null_count:
        raise ValueError(f"{image_of.null_count} questions name an item that the items table lacks")
    options = rows["options"].combine_chunks()
    encoded = _option_texts(rows, options).dictionary_encode()
    lengths = pc.list_value_length(options).to_numpy(zero_copy_only=False)
    return Asked(
        rows=rows, texts=encoded.dictionary.to_pylist(), text_of=encoded.indices.to_numpy(),
        image_of=image_of.to_numpy(), offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )  # fmt: skip


def _option_texts(rows: pa.Table, options: pa.ListArray) -> pa.Array:
    """The text of every option: with its question before it in question form, alone in captions."""
    alone, row_of = pc.list_flatten(options), pc.list_parent_indices(options)
    question = pc.if_else(pc.is_null(rows["variant"]), rows["text"], None).combine_chunks().take(row_of)
    return pc.coalesce(pc.binary_join_element_wise(question, alone, " "), alone)

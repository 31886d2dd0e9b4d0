"""Tiny random models of every contrastive family, as organisers would place them. In: a folder; out: folders, weights.

Nothing is downloaded: configs, tokenizers and weights are made here, in a few seconds.
"""

import json
import string
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import open_clip
import torch
import transformers

from tests.builders.hub import CAPTION_FORMS, COARSE_VALUES, LABELS
from tests.builders.weights import write_state

ARCHITECTURES, WEIGHTS = "architectures", "weights"
LETTERS = string.ascii_letters + string.digits + string.punctuation
TEXTS = [*CAPTION_FORMS, *LABELS, *(value for values in COARSE_VALUES.values() for value in values),
         "What is shown in this micrograph?", "none of the above"]  # fmt: skip
PX = 32
TOWER: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
IMAGE: dict[str, Any] = TOWER | {"image_size": PX, "patch_size": 8}


def contrastive_folders(folder: Path) -> dict[str, Path]:
    """Fill `folder`/architectures with a registry folder per family; returns each one's weights, by its name."""
    made = {}
    for number, (name, make) in enumerate(FAMILIES.items()):
        place = folder / ARCHITECTURES / name
        place.mkdir(parents=True)
        torch.manual_seed(number)
        model, description = make(place)
        spread(model)
        counted = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
        write_json(place / "architecture.json", {"family": "contrastive"} | counted | description)
        (folder / WEIGHTS).mkdir(exist_ok=True)
        made[name] = write_state(model.state_dict(), folder / WEIGHTS / f"{name}.safetensors")
    return made


def write_json(path: Path, content: Any) -> None:
    """Write a config file."""
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def spread(model: torch.nn.Module) -> None:
    """Draw weights so that different inputs get different embeddings, which the usual first weights hardly do."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(std=1.0 / fan_in**0.5)
            elif parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)


def byte_pairs() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges in CLIP's alphabet; the end token has the highest number."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    alphabet = list(bytes_to_unicode().values())
    merges = [("c", "e"), ("ce", "l"), ("cel", "l</w>"), ("o", "f</w>"), ("i", "n"), ("m", "i"), ("mi", "c")]
    words = [*alphabet, *(letter + "</w>" for letter in alphabet), *("".join(merge) for merge in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}, merges


def word_pieces(folder: Path, max_length: int) -> int:
    """A BERT tokenizer in `folder`; returns the size of its vocabulary."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cell", "micro", "##graph", "##scopy", *LETTERS,
              *("##" + letter for letter in LETTERS)]  # fmt: skip
    vocab = {piece: number for number, piece in enumerate(pieces)}
    transformers.BertTokenizer(vocab=vocab, model_max_length=max_length).save_pretrained(folder)
    return len(vocab)


def unigrams(folder: Path, max_length: int) -> int:
    """A tokenizer of T5's kind, as open_clip's SigLIP models bring: end token, padding, no mask."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁cell", -3.0), ("▁micro", -3.0), ("▁", -5.0)]
    pieces += [(letter, -6.0) for letter in LETTERS]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        model_max_length=max_length, model_input_names=["input_ids"],
    ).save_pretrained(folder)  # fmt: skip
    return len(pieces)


Made = tuple[torch.nn.Module, dict[str, Any]]  # the model, and what architecture.json states of it


def make_clip(folder: Path) -> Made:
    """Resized to another side than it is cropped to, with an odd difference: libraries round the middle differently."""
    vocab, merges = byte_pairs()
    tokenizer = transformers.CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=40)
    tokenizer.save_pretrained(folder)
    transformers.CLIPImageProcessorPil(
        size={"shortest_edge": PX + 5}, crop_size={"height": PX, "width": PX}
    ).save_pretrained(folder)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = transformers.CLIPConfig(
        text_config=TOWER | ends | {"vocab_size": len(vocab), "max_position_embeddings": 40}, vision_config=IMAGE,
        projection_dim=24,
    )  # fmt: skip
    write_json(folder / "config.json", config.to_dict())
    return transformers.CLIPModel(config), {"library": "transformers"}


def make_siglip(folder: Path) -> Made:
    """The first SigLIP, whose tokenizer is a sentencepiece model that drops punctuation."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text.lower().translate(str.maketrans("", "", string.punctuation)) for text in TEXTS]),
        model_prefix=str(folder / "spiece"), vocab_size=60, unk_id=2, eos_id=1, pad_id=0, bos_id=-1, minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    (folder / "spiece.vocab").unlink()
    tokenizer = transformers.SiglipTokenizer(
        str(folder / "spiece.model"), model_max_length=24, model_input_names=["input_ids"]
    )
    tokenizer.save_pretrained(folder)
    return _siglip(folder, len(tokenizer))


def make_siglip2(folder: Path) -> Made:
    """SigLIP 2 of one resolution: SigLIP's classes, a tokenizer that lowers letters."""
    vocab = {word: number for number, word in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS])}
    merges: list[tuple[str, str]] = []
    for first, second in (("c", "e"), ("ce", "ll"), ("l", "l")):
        vocab[first + second] = len(vocab)
        if second not in vocab:
            vocab[second] = len(vocab)
        merges.append((first, second))
    tokenizer = transformers.Siglip2Tokenizer(
        vocab=vocab, merges=merges, model_max_length=24, padding_side="right", model_input_names=["input_ids"]
    )
    tokenizer.save_pretrained(folder)
    return _siglip(folder, len(vocab))


def _siglip(folder: Path, vocabulary: int) -> Made:
    transformers.SiglipImageProcessorPil(size={"height": PX, "width": PX}, resample=2).save_pretrained(folder)
    config = transformers.SiglipConfig(
        text_config=TOWER | {"vocab_size": vocabulary, "max_position_embeddings": 24, "projection_size": 32},
        vision_config=IMAGE,
    )  # fmt: skip
    write_json(folder / "config.json", config.to_dict())
    return transformers.SiglipModel(config), {"library": "transformers"}


def make_align(folder: Path) -> Made:
    """An EfficientNet, squashed, cropped, and scaled to -1 … 1 by an offset."""
    vocabulary = word_pieces(folder, 40)
    transformers.EfficientNetImageProcessorPil(
        size={"height": PX + 7, "width": PX + 7}, crop_size={"height": PX, "width": PX}, do_center_crop=True,
        rescale_factor=1 / 127.5, rescale_offset=True, do_normalize=False, include_top=False, resample=2,
    ).save_pretrained(folder)  # fmt: skip
    config = transformers.AlignConfig(
        text_config=TOWER | {"vocab_size": vocabulary, "max_position_embeddings": 48},
        vision_config={
            "image_size": PX, "hidden_dim": 32, "width_coefficient": 1.0, "depth_coefficient": 1.0,
            "depth_divisor": 4, "kernel_sizes": [3, 5], "in_channels": [32, 8], "out_channels": [8, 16],
            "strides": [1, 2], "num_block_repeats": [1, 2], "expand_ratios": [1, 3], "depthwise_padding": [],
        },
        projection_dim=16,
    )  # fmt: skip
    write_json(folder / "config.json", config.to_dict())
    return transformers.AlignModel(config), {"library": "transformers", "notes": "Made for the tests."}


def make_blip(folder: Path) -> Made:
    vocabulary = word_pieces(folder, 40)
    processor = transformers.BlipImageProcessorPil(size={"height": PX, "width": PX})
    write_json(folder / "processor_config.json", {"image_processor": json.loads(processor.to_json_string())})
    config = transformers.BlipConfig(
        text_config=TOWER | {"vocab_size": vocabulary, "max_position_embeddings": 40, "bos_token_id": 2},
        vision_config=IMAGE | {"num_attention_heads": 2}, image_text_hidden_size=24,
    )  # fmt: skip
    write_json(folder / "config.json", config.to_dict())
    return transformers.BlipForImageTextRetrieval(config), {"library": "transformers"}


def make_open_clip_bert(folder: Path) -> Made:
    """As BiomedCLIP: an image tower of timm, a text tower and tokenizer of transformers."""
    vocabulary = word_pieces(folder, 40)
    text = transformers.BertConfig(**TOWER, vocab_size=vocabulary, max_position_embeddings=40)
    write_json(folder / "text_config.json", text.to_dict())
    config = {
        "embed_dim": 24,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160},
        "text_cfg": {
            "hf_model_name": "someone/bert", "hf_tokenizer_name": "someone/bert", "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler", "context_length": 32,
        },
    }  # fmt: skip
    return _open_clip(folder, config, {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]})


def make_open_clip_siglip(folder: Path) -> Made:
    """As SigLIP within open_clip: texts padded to the context, read at the last place, both ways."""
    vocabulary = unigrams(folder, 24)
    config = {
        "embed_dim": 64, "init_logit_bias": -10, "custom_text": True,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "avg", "timm_proj": "none", "image_size": 160},
        "text_cfg": {
            "context_length": 24, "vocab_size": vocabulary, "hf_tokenizer_name": "someone/siglip", "width": 32,
            "tokenizer_kwargs": {"clean": "canonicalize"}, "heads": 4, "layers": 2, "no_causal_mask": True,
            "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6},
        },
    }  # fmt: skip
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
    return _open_clip(folder, config, preprocess)


def make_open_clip_coca(folder: Path) -> Made:
    """CoCa, with open_clip's own tokenizer."""
    config = {
        "embed_dim": 24, "custom_text": True,
        "vision_cfg": {"image_size": PX, "layers": 1, "width": 32, "head_width": 8, "patch_size": 8,
                       "attentional_pool": True, "attn_pooler_heads": 4, "output_tokens": True},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 1,
                     "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 1,
                           "attn_pooler_heads": 4},
    }  # fmt: skip
    return _open_clip(folder, config, {"resize_mode": "longest"})


def _open_clip(folder: Path, config: dict[str, Any], preprocess: dict[str, Any]) -> Made:
    write_json(folder / "open_clip_config.json", {"model_cfg": config, "preprocess_cfg": preprocess})
    return open_clip_model(folder), {"library": "open_clip"}


def open_clip_model(folder: Path) -> torch.nn.Module:
    """The model of an open_clip folder by open_clip's own factory, its text tower's config named by its path."""
    content = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]
    if "hf_model_name" in content["text_cfg"]:
        content["text_cfg"]["hf_model_name"] = str(folder / "text_config.json")
    with TemporaryDirectory() as copy:
        write_json(Path(copy, "open_clip_config.json"), {"model_cfg": content})
        return open_clip.create_model(f"local-dir:{copy}", pretrained_image=False, pretrained_text=False).eval()


FAMILIES: dict[str, Callable[[Path], Made]] = {
    "tiny-clip": make_clip,
    "tiny-siglip": make_siglip,
    "tiny-siglip2": make_siglip2,
    "tiny-align": make_align,
    "tiny-blip": make_blip,
    "tiny-open-clip-bert": make_open_clip_bert,
    "tiny-open-clip-siglip": make_open_clip_siglip,
    "tiny-open-clip-coca": make_open_clip_coca,
}

"""The definition, the slow way, with transformers alone: one image, one question, one whole forward at a time."""

from pathlib import Path
from string import ascii_uppercase
from typing import Any

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import pyarrow as pa
import torch
import transformers
from PIL import Image

from evaluator.release.prompts import render_prompt


class SlowGenerator:
    """A model and its processor by transformers' own loaders."""

    def __init__(self, folder: Path) -> None:
        self.model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = transformers.AutoProcessor.from_pretrained(folder)

    def inputs(self, image: Image.Image, prompt: str, continued: str = "") -> Any:
        """The model's input, `continued` written directly behind it."""
        if not self.processor.chat_template:
            text = f"{self.processor.image_token}\n{prompt}{continued}"
            return self.processor(images=image, text=text, return_tensors="pt")
        content = [{"type": "image", "image": image}, {"type": "text", "text": prompt}]
        conversation = [{"role": "user", "content": content}]
        if not continued:
            return self.processor.apply_chat_template(
                conversation, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )
        text = self.processor.apply_chat_template(conversation, add_generation_prompt=True) + continued
        has_bos = bool(self.processor.tokenizer.bos_token) and text.startswith(self.processor.tokenizer.bos_token)
        return self.processor(images=image, text=text, add_special_tokens=not has_bos, return_tensors="pt")

    def reply(self, image: Image.Image, prompt: str, max_new_tokens: int) -> str:
        """What the library's own greedy search writes."""
        made = self.inputs(image, prompt)
        with torch.inference_mode():
            whole = self.model.generate(**made, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens)
        new = whole[0, made["input_ids"].shape[1] :]
        return str(self.processor.tokenizer.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def letters(self, image: Image.Image, prompt: str, n_options: int) -> list[float]:
        """Log-probability of each letter's token behind the prompt."""
        made = self.inputs(image, prompt)
        ids = made["input_ids"][0].tolist()
        with torch.inference_mode():
            likely = self.model(**made).logits[0, -1].log_softmax(-1)
        found = []
        for letter in ascii_uppercase[:n_options]:
            longer = self.inputs(image, prompt, letter)["input_ids"][0].tolist()
            if longer[: len(ids)] == ids and len(longer) > len(ids):
                found.append(longer[len(ids)])
            else:
                found.append(self.processor.tokenizer(letter, add_special_tokens=False)["input_ids"][0])
        return likely[found].tolist()


def asked(release: Path, items: pa.Table, rows: list[dict[str, Any]]) -> list[tuple[Image.Image, str]]:
    """Image and official prompt of each row."""
    files = {(item["dataset"], item["image_id"]): item["file"] for item in items.to_pylist()}
    return [
        (
            Image.open(release / files[row["dataset"], row["image_id"]]).convert("RGB"),
            render_prompt(row["text"], row["options"]),
        )
        for row in rows
    ]

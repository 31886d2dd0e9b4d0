"""The contact sheet: one HTML file with everything in it. In: Suggestion, thumbnails; out: text.

No script and nothing fetched: it can be mailed, printed, and opened in ten years. Torch-free.
"""

import base64
import io
from collections.abc import Mapping
from html import escape
from importlib.resources import files

from PIL import Image

from evaluator.active_learning.suggesting.suggestion import Basis, Pick, Suggestion
from evaluator.suggest.words import counted, doubt, how_chosen, place

THUMBNAIL_PX = 360
QUALITY = 85

LEGEND = {
    "group": "All images are divided into as many groups of similar ones as you asked for, counted from the largest. "
    "“Representative” images lie near the middle of their group, others at its edge.",
    "guess": "The class that a classifier, trained on your labels so far, finds most likely. It may well be wrong: "
    "that is why the image is here.",
    "uncertain": "The classifier looks at an image in twenty passes, each time at a random quarter of its features. "
    "Those that give another class than the guess are counted.",
    "nearly level": "The likeliest two classes are less than 20 points of probability apart.",
}


def thumbnail(image: Image.Image) -> str:
    """The whole image as a data URI, its longer side at most THUMBNAIL_PX; smaller ones stay as they are."""
    small = image.copy()
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    kind = "PNG" if max(image.size) < THUMBNAIL_PX // 2 else "JPEG"
    small.save(file, kind, quality=QUALITY, optimize=True)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def sheet(suggestion: Suggestion, thumbnails: Mapping[str, str], facts: Mapping[str, str]) -> str:
    """The page. thumbnails: data URIs by id, of any of the images; facts: how it was made, shown at its end."""
    count = len(suggestion.picks)
    title = f"{counted(count, 'image')} to label next"
    cards = "\n".join(_card(order, pick, thumbnails.get(pick.id)) for order, pick in enumerate(suggestion.picks, 1))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{files("evaluator.suggest").joinpath("data/sheet.css").read_text("utf-8")}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="lead">{escape(how_chosen(suggestion))}</p>
{_labels(suggestion)}
</header>
<main>
<ol class="cards">
{cards}
</ol>
</main>
<footer>
<section>
<h2>How to go on</h2>
<p>Write a class beside each id in <code>labels.csv</code>, delete the rows you cannot tell, and run the same command
with <code>--labels labels.csv</code>. Embeddings are kept: the next round takes seconds.</p>
</section>
<section>
<h2>Words</h2>
{_legend(suggestion)}
</section>
<section>
<h2>How this was made</h2>
{_terms(facts)}
</section>
</footer>
</body>
</html>
"""


def _labels(suggestion: Suggestion) -> str:
    n_labels, images = sum(suggestion.labelled.values()), f"{suggestion.images:,}"
    if not n_labels:
        return f'<p class="so-far">None of {images} images has a label.</p>'
    classes = "".join(
        f"<li>{escape(name)} <b>{number:,}</b></li>" for name, number in suggestion.labelled.items()
    )  # fmt: skip
    return f'<div class="so-far"><p>Labels so far: {n_labels:,} of {images} images.</p><ul>{classes}</ul></div>'


def _card(order: int, pick: Pick, picture: str | None) -> str:
    if picture is None:
        shown = '<span class="picture none">no picture</span>'
    else:
        shown = f'<img class="picture" src="{picture}" alt="Image {order}: {escape(pick.id)}">'
    guess = f'<p class="guess">guess: <b>{escape(pick.guess)}</b></p>' if pick.guess is not None else ""
    reasons = "".join(f'<p class="reason">{escape(said)}</p>' for said in (doubt(pick), place(pick)) if said)
    return f"""<li>
{shown}
<div class="text"><p class="id"><span class="order">{order}</span> {escape(pick.id)}</p>
{guess}{reasons}
<p class="write">label</p></div>
</li>"""


def _legend(suggestion: Suggestion) -> str:
    words = LEGEND if suggestion.basis is Basis.CLASSES else {"group": LEGEND["group"]}
    return _terms(words)


def _terms(words: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in words.items())
    return f"<dl>{rows}</dl>"

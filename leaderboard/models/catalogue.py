"""Models in the benchmark's sense: a named thing that people submit artefacts of."""

from django.db import models as db

RESERVED_PREFIX = "baseline-"  # slugs that are the server's own


class Model(db.Model):
    """A vision-language model (not a Django model): who made it, what it is, where its weights are."""

    slug = db.SlugField(max_length=80, unique=True)
    name = db.CharField(max_length=200)
    owner = db.ForeignKey("User", on_delete=db.PROTECT, related_name="models")
    is_baseline = db.BooleanField(default=False)
    is_reference = db.BooleanField(
        default=False, help_text="a reference base: organisers offer it to authors as what their model was tuned from"
    )
    is_reference_encoder = db.BooleanField(
        default=False, help_text="query strategies are compared on the embeddings of its shown submission"
    )
    authors = db.CharField(max_length=500, blank=True)
    organisation = db.CharField(max_length=200, blank=True)
    description = db.TextField(blank=True)
    architecture = db.CharField(max_length=120, blank=True)
    parameters = db.BigIntegerField(null=True, blank=True)
    paper = db.URLField(blank=True)
    licence = db.CharField(max_length=120, blank=True)
    training_data = db.TextField(blank=True)
    weights_link = db.URLField(blank=True)
    base = db.ForeignKey("self", null=True, blank=True, on_delete=db.PROTECT, related_name="fine_tunes")
    shown_submission = db.ForeignKey(
        "Submission", null=True, blank=True, on_delete=db.SET_NULL, related_name="+",
        help_text="the submission its author wants on the boards; empty = the latest",
    )  # fmt: skip
    created_at = db.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name

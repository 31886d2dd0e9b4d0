"""What an image processor of transformers does, read from its config. In: JSON values; out: Preprocessing. Torch-free.

Only what `evaluator.pixels.crop` reproduces bit for bit is accepted; all else is refused by name.
"""

from collections.abc import Mapping
from typing import Any

from evaluator.architectures.architecture import Preprocessing
from evaluator.errors import ProblemLog

CODE, FIELD = "bad_architecture_folder", "architecture"
RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by PIL's numbers
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
HALF = [0.5, 0.5, 0.5]
MOST = 1_000  # of a mean or deviation
EVERY = {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
         "do_center_crop": False, "crop_size": None, "resample": 3, "rescale_offset": False,
         "include_top": False}  # fmt: skip
# What each processor does where its config says nothing.
DEFAULTS: dict[str, dict[str, Any]] = {
    "CLIPImageProcessor": {
        "size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224},
        "image_mean": CLIP_MEAN, "image_std": CLIP_STD,
    },
    "SiglipImageProcessor": {"size": {"height": 224, "width": 224}, "image_mean": HALF, "image_std": HALF},
    "BlipImageProcessor": {"size": {"height": 384, "width": 384}, "image_mean": CLIP_MEAN, "image_std": CLIP_STD},
    "EfficientNetImageProcessor": {
        "size": {"height": 346, "width": 346}, "crop_size": {"height": 289, "width": 289}, "include_top": True,
        "image_mean": HALF, "image_std": HALF,
    },
}  # fmt: skip
# Said by configs, and without effect on one RGB image.
SILENT = {"image_processor_type", "feature_extractor_type", "processor_class", "do_convert_rgb", "data_format",
          "default_to_square", "input_data_format", "device", "disable_grouping", "return_tensors", "size_divisor",
          "_valid_processor_keys", "image_seq_length", "use_square_size"}  # fmt: skip
OLD_NAMES = {"CLIPFeatureExtractor": "CLIPImageProcessor"}


def read_processor(values: Mapping[str, Any], log: ProblemLog, file: str) -> tuple[Preprocessing, int] | None:
    """How this processor prepares an image, and the side of the square it gives. None when `log` says why not."""
    before = sum(log.counts.values())
    stated = values.get("image_processor_type") or values.get("feature_extractor_type")
    name = str(stated).removesuffix("Fast").removesuffix("Pil")
    defaults = DEFAULTS.get(OLD_NAMES.get(name, name))
    if defaults is None:
        log.add(CODE, f"{file} names the image processor {str(stated)[:60]!r}; known are {', '.join(DEFAULTS)}.",
                field=FIELD)  # fmt: skip
        return None
    known = EVERY | defaults
    for key, value in values.items():
        if key not in known and key not in SILENT and value not in (None, False, [], {}):
            log.add(CODE, f"{file} asks for {key}, which is not reproduced here. Only resizing, a centre crop, "
                          "rescaling and normalising are.", field=FIELD)  # fmt: skip
    how = known | {key: value for key, value in values.items() if key in known and value is not None}
    if "shortest_edge" in defaults["size"]:  # old CLIP configs state plain numbers
        edge = "square" if values.get("default_to_square") else "shortest_edge"
        how |= {key: _as_dict(how[key], edge if key == "size" else "square") for key in ("size", "crop_size")}
    found = _preprocessing(how, log, file)
    return found if sum(log.counts.values()) == before else None


def _preprocessing(how: dict[str, Any], log: ProblemLog, file: str) -> tuple[Preprocessing, int] | None:
    if not how["do_resize"]:
        log.add(CODE, f"{file} has do_resize false: images of any size would reach the model.", field=FIELD)
    size, crop = _side(how["size"], log, f"{file}: size"), None
    if how["do_center_crop"]:
        crop = _side(how["crop_size"], log, f"{file}: crop_size")
        if crop and crop[1]:
            log.add(CODE, f"{file} has a crop_size by shortest_edge; state height and width.", field=FIELD)
    elif size and size[1]:
        log.add(CODE, f"{file} resizes the shortest edge and crops nothing: images would keep their shape. "
                      "Only squares are reproduced.", field=FIELD)  # fmt: skip
    resample, numbers = how["resample"], _scaling(how, log, file)
    if not isinstance(resample, int) or not 0 <= resample < len(RESAMPLING):
        log.add(CODE, f"{file} has the unknown resample {resample!r}; it is a number of PIL, 0 to 5.", field=FIELD)
        return None
    if size is None or numbers is None or (how["do_center_crop"] and crop is None):
        return None
    side = crop[0] if crop else size[0]
    made = Preprocessing(
        mean=numbers[0], std=numbers[1], interpolation=RESAMPLING[resample], centre="floor",
        resize_mode="shortest" if size[1] else "squash", resize_px=size[0] if size[0] != side else None,
    )  # fmt: skip
    return made, side


def _as_dict(size: Any, edge: str) -> Any:
    if not isinstance(size, int):
        return size
    return {"height": size, "width": size} if edge == "square" else {edge: size}


def _side(size: Any, log: ProblemLog, what: str) -> tuple[int, bool] | None:
    """A side in pixels, and whether it is the shortest edge's (else both)."""
    if isinstance(size, Mapping):
        sides = {key: value for key, value in size.items() if value is not None}
        if all(isinstance(value, int) and 0 < value <= 4096 for value in sides.values()):
            if sides.keys() == {"shortest_edge"}:
                return sides["shortest_edge"], True
            if sides.keys() == {"height", "width"} and sides["height"] == sides["width"]:
                return sides["height"], False
    log.add(CODE, f"{what} is {size!r}; squares by height and width, or shortest_edge, are reproduced.", field=FIELD)
    return None


Numbers = tuple[tuple[float, float, float], tuple[float, float, float]]


def _scaling(how: dict[str, Any], log: ProblemLog, file: str) -> Numbers | None:
    """Mean and deviation of pixels from 0 to 1 that do what rescaling, offset and normalising do together."""
    factor, offset = how["rescale_factor"], 1.0 if how["rescale_offset"] else 0.0
    if how["include_top"]:
        log.add(CODE, f"{file} has include_top, which classifiers need; state include_top: false.", field=FIELD)
    if not how["do_rescale"]:
        factor, offset = 1.0, 0.0
    if not isinstance(factor, int | float) or not 0 < factor <= 1:
        log.add(CODE, f"{file} has the rescale_factor {factor!r}; it is above 0 and at most 1.", field=FIELD)
        return None
    mean = three_numbers(how["image_mean"]) if how["do_normalize"] else (0.0, 0.0, 0.0)
    std = three_numbers(how["image_std"]) if how["do_normalize"] else (1.0, 1.0, 1.0)
    if mean is None or std is None or min(std) <= 0:
        log.add(CODE, f"{file} needs image_mean and image_std of three numbers each, deviations above 0.", field=FIELD)
        return None
    scale = 1.0 if factor == 1 / 255 else 255 * factor
    return _each(mean, lambda value: (value + offset) / scale), _each(std, lambda value: value / scale)


def three_numbers(value: Any) -> tuple[float, float, float] | None:
    """One number per channel, from three or from one for all; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value] * 3
    if not isinstance(value, list) or len(value) != 3:
        return None
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in value):
        return None
    if not all(abs(number) <= MOST for number in value):  # nor NaN, which JSON of Python may hold
        return None
    return float(value[0]), float(value[1]), float(value[2])


def _each(values: tuple[float, float, float], change: Any) -> tuple[float, float, float]:
    first, second, third = (change(value) for value in values)
    return first, second, third

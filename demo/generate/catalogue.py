"""The datasets of the generated benchmark: what each shows, its classes, its facets and the sentences about it."""

from dataclasses import dataclass

from demo.generate.drawing import Scene
from demo.generate.scenes import brightfield, electron, fluorescence, tissue

LIGHT, FLUORESCENCE, ELECTRON = "light microscopy", "fluorescence microscopy", "electron microscopy"
HUMAN = ("NCBITaxon:9606", "Homo sapiens")
MOUSE = ("NCBITaxon:10090", "Mus musculus")
YEAST = ("NCBITaxon:4932", "Saccharomyces cerevisiae")


@dataclass(frozen=True, kw_only=True, eq=False)  # one object each, so that it can be a key
class Dataset:
    """One fine task. The organism is the one that the drawings imitate.

    classes: label name → the phrase that stands for it in a sentence.
    captions: the two sentences of a class; {} takes its phrase.
    images_per_source: above 1, that many images are cut from one slide, smear or block.
    is_localised: every instance has a box, so that the dataset can ask for boxes.
    """

    name: str
    scene: Scene
    classes: dict[str, str]
    question: str
    captions: tuple[str, str]
    modality: str
    submodality: str
    domain: str
    subdomain: str
    stain: str | None
    microns_per_pixel: float | None
    organism: tuple[str, str] | None = None
    images_per_source: int = 1
    is_localised: bool = False


def _named(*names: str) -> dict[str, str]:
    """Classes whose name is its own phrase."""
    return {name: name for name in names}


DATASETS: tuple[Dataset, ...] = (
    Dataset(
        name="nuclei_density", scene=fluorescence.nuclei, classes=_named(*fluorescence.NUCLEI),
        question="How densely are the nuclei packed in this micrograph?",
        captions=("A micrograph of {}.", "A fluorescence microscopy image of cultured cells with {}."),
        modality=FLUORESCENCE, submodality="epifluorescence microscopy", domain="biology", subdomain="cell biology",
        stain="DAPI", microns_per_pixel=0.65, organism=HUMAN, is_localised=True,
    ),
    Dataset(
        name="mitosis_chromatin", scene=fluorescence.mitosis,
        classes={
            "interphase": "a cell in interphase", "prophase": "a cell in prophase", "metaphase": "a cell in metaphase",
            "anaphase": "a cell in anaphase", "apoptosis": "an apoptotic cell",
        },
        question="In which phase is the cell at the centre of this micrograph?",
        captions=("A micrograph of {}.", "A fluorescence microscopy image of labelled chromatin showing {}."),
        modality=FLUORESCENCE, submodality="epifluorescence microscopy", domain="biology", subdomain="cell biology",
        stain="H2B-mCherry", microns_per_pixel=0.32, organism=HUMAN,
    ),
    Dataset(
        name="cytoskeleton_filaments", scene=fluorescence.filaments,
        classes={
            "parallel stress fibres": "parallel stress fibres",
            "radial microtubule array": "a radial microtubule array",
            "cortical actin ring": "a cortical actin ring", "isotropic filament mesh": "an isotropic filament mesh",
        },
        question="How are the cytoskeletal filaments of this cell arranged?",
        captions=("A micrograph of {}.", "A confocal image of a spread cell with {}."),
        modality=FLUORESCENCE, submodality="confocal microscopy", domain="biology", subdomain="molecular biology",
        stain="fluorescent phalloidin", microns_per_pixel=0.2, organism=MOUSE,
    ),
    Dataset(
        name="molecule_colocalization", scene=fluorescence.colocalization, classes=_named(*fluorescence.OVERLAP),
        question="How strongly do the two labelled molecules colocalize?",
        captions=("A micrograph showing {}.", "A two-colour TIRF image of single molecules with {}."),
        modality=FLUORESCENCE, submodality="TIRF microscopy", domain="biology", subdomain="biophysics",
        stain="Alexa Fluor 488 and 594", microns_per_pixel=0.107,
    ),
    Dataset(
        name="cell_contour", scene=fluorescence.contour, classes=_named(*fluorescence.ROUGHNESS),
        question="What are the contours of the cells in this image like?",
        captions=("A micrograph of cells with {}.", "A simulated fluorescence image of cells that have {}."),
        modality=FLUORESCENCE, submodality="simulated microscopy", domain="biology", subdomain="cell biology",
        stain=None, microns_per_pixel=None,
    ),
    Dataset(
        name="cell_eccentricity", scene=fluorescence.eccentricity,
        classes={name: f"cells of {name}" for name in fluorescence.AXIS_RATIO},
        question="What shape do the cells in this image have?",
        captions=("A micrograph of {}.", "A simulated fluorescence image showing {}."),
        modality=FLUORESCENCE, submodality="simulated microscopy", domain="biology", subdomain="cell biology",
        stain=None, microns_per_pixel=None,
    ),
    Dataset(
        name="cell_texture", scene=fluorescence.texture,
        classes={name: f"cells of {name}" for name in fluorescence.GRAIN_PX},
        question="What texture do the cells in this image have?",
        captions=("A micrograph of {}.", "A simulated fluorescence image showing {}."),
        modality=FLUORESCENCE, submodality="simulated microscopy", domain="biology", subdomain="cell biology",
        stain=None, microns_per_pixel=None,
    ),
    Dataset(
        name="yeast_growth", scene=brightfield.yeast,
        classes={
            "single cells": "single yeast cells", "budding cells": "budding yeast cells",
            "cell clusters": "clustered yeast cells", "cell chains": "chains of yeast cells",
        },
        question="How do the yeast cells in this micrograph hang together?",
        captions=("A micrograph of {}.", "An unstained brightfield image of {}."),
        modality=LIGHT, submodality="brightfield microscopy", domain="biology", subdomain="microbiology",
        stain=None, microns_per_pixel=0.4, organism=YEAST,
    ),
    Dataset(
        name="blood_cells", scene=brightfield.blood,
        classes={
            "neutrophil": "a neutrophil", "lymphocyte": "a lymphocyte", "monocyte": "a monocyte",
            "eosinophil": "an eosinophil", "basophil": "a basophil", "platelet": "platelets",
        },
        question="Which blood component is at the centre of this micrograph?",
        captions=("A micrograph of {}.", "A light microscopy image of a blood smear centred on {}."),
        modality=LIGHT, submodality="brightfield microscopy", domain="pathology", subdomain="hematopathology",
        stain="Giemsa", microns_per_pixel=0.35, organism=HUMAN, images_per_source=4,
    ),
    Dataset(
        name="colorectal_tissue", scene=tissue.colorectal,
        classes=_named("tumour epithelium", "normal mucosa", "stroma", "lymphocytes", "adipose tissue",
                       "smooth muscle", "mucus", "debris"),
        question="Which tissue does this tile of a colorectal section show?",
        captions=("A micrograph of {}.", "A histology image of a colorectal section showing {}."),
        modality=LIGHT, submodality="brightfield microscopy", domain="pathology",
        subdomain="gastrointestinal pathology",
        stain="hematoxylin and eosin", microns_per_pixel=0.9, organism=HUMAN, images_per_source=6,
    ),
    Dataset(
        name="heart_fibrosis", scene=tissue.myocardium, classes=_named(*tissue.SCAR),
        question="What does the heart muscle in this micrograph show?",
        captions=("A micrograph of {}.", "A trichrome-stained section of heart muscle showing {}."),
        modality=LIGHT, submodality="brightfield microscopy", domain="pathology", subdomain="cardiovascular pathology",
        stain="Masson trichrome", microns_per_pixel=1.0, organism=HUMAN, images_per_source=4,
    ),
    Dataset(
        name="amyloid_morphology", scene=tissue.amyloid,
        classes={
            "cored plaque": "a cored plaque", "diffuse plaque": "a diffuse plaque",
            "amyloid angiopathy": "amyloid angiopathy", "no amyloid": "cortex without amyloid",
        },
        question="In which form does amyloid-beta lie in this micrograph?",
        captions=("A micrograph of {}.", "An immunohistochemistry image of brain cortex showing {}."),
        modality=LIGHT, submodality="brightfield microscopy", domain="pathology", subdomain="neuropathology",
        stain="amyloid-beta immunohistochemistry", microns_per_pixel=1.0, organism=HUMAN, images_per_source=4,
    ),
    Dataset(
        name="organelles_tem", scene=electron.organelles,
        classes={
            "mitochondria": "mitochondria", "rough endoplasmic reticulum": "rough endoplasmic reticulum",
            "golgi apparatus": "a golgi apparatus", "cell nucleus": "a cell nucleus",
            "secretory granules": "secretory granules",
        },
        question="Which organelle does this electron micrograph show?",
        captions=("A micrograph of {}.", "A transmission electron microscopy image of {}."),
        modality=ELECTRON, submodality="transmission electron microscopy", domain="biology", subdomain="cell biology",
        stain="uranyl acetate and lead citrate", microns_per_pixel=0.008, organism=MOUSE,
    ),
    Dataset(
        name="mitochondria_sbfsem", scene=electron.neuropil,
        classes=_named("tubular mitochondria", "swollen mitochondria", "fragmented mitochondria"),
        question="In which state are the mitochondria of this brain tissue?",
        captions=("A micrograph of {}.", "A serial block-face image of brain tissue with {}."),
        modality=ELECTRON, submodality="serial block-face scanning electron microscopy", domain="biology",
        subdomain="neurobiology", stain="osmium tetroxide", microns_per_pixel=0.02, organism=MOUSE, images_per_source=5,
        is_localised=True,
    ),
    Dataset(
        name="nerve_myelin", scene=electron.myelin,
        classes=_named("compact myelin", "split myelin", "unmyelinated axons"),
        question="In which state are the sheaths of these nerve fibres?",
        captions=("A micrograph of {}.", "An electron microscopy image of a nerve with {}."),
        modality=ELECTRON, submodality="transmission electron microscopy", domain="biology", subdomain="neurobiology",
        stain="uranyl acetate and lead citrate", microns_per_pixel=0.06, organism=MOUSE,
    ),
)  # fmt: skip

BY_NAME = {dataset.name: dataset for dataset in DATASETS}

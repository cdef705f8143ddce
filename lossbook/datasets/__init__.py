"""Real and generated data: tensors, splits by seed, checksums verified.

The real sets lie in the repository's data/ folder, which is found from the package when it is installed editable
(`pip install -e .`). `LOSSBOOK_DATA` names a folder that is searched first; with the four IDX files of full
Fashion-MNIST in it, `fashion_mnist` loads all 70,000 images.
"""

from lossbook.datasets._algorithmic import modular_addition, sparse_parity
from lossbook.datasets._files import CHECKSUMS, verify
from lossbook.datasets._generated import gaussian_classes, moons, separable_worst_case, with_label_noise
from lossbook.datasets._imbalanced import ManyLabels, digit_composites, long_tailed
from lossbook.datasets._pairs import Views, means_of_labels, two_views, view_maps
from lossbook.datasets._real import (
    Dataset,
    austen,
    breast_cancer,
    diabetes,
    digits,
    fashion_mnist,
    iris,
    letter_recognition,
    wine,
)
from lossbook.datasets._streams import (
    Stream,
    class_stream,
    class_subset,
    gaussian_stream,
    rotated,
    rotated_stream,
    shrunk,
    task_stream,
    turned,
)
from lossbook.datasets._text import austen_words, next_word, zipf_text

__all__ = [
    "CHECKSUMS",
    "Dataset",
    "ManyLabels",
    "Stream",
    "Views",
    "austen",
    "austen_words",
    "breast_cancer",
    "class_stream",
    "class_subset",
    "diabetes",
    "digit_composites",
    "digits",
    "fashion_mnist",
    "gaussian_classes",
    "gaussian_stream",
    "iris",
    "letter_recognition",
    "long_tailed",
    "means_of_labels",
    "modular_addition",
    "moons",
    "next_word",
    "rotated",
    "rotated_stream",
    "separable_worst_case",
    "shrunk",
    "sparse_parity",
    "task_stream",
    "turned",
    "two_views",
    "verify",
    "view_maps",
    "wine",
    "with_label_noise",
    "zipf_text",
]

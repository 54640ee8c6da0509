"""Packaging of cpc_keras; the settings of the tools are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent

# The upper ends are what the tests ran on. Keras's range is narrow: the configs of saved models
# name its own modules, and those move between versions.
INSTALL = [
    "keras>=3.15,<3.16",
    "numpy>=1.26,<3",
    "tensorflow>=2.21,<2.22",
    # TensorFlow 2.21 does not install it, and tf.summary, where a run logs, raises without it.
    "tensorboard>=2.20,<2.22",
    "scikit-learn>=1.5,<2",
    "scipy>=1.11,<2",
    "matplotlib>=3.8,<4",
    "pillow>=10.3,<14",
    "click>=8.1.7,<9",
    "tqdm>=4.66,<5",
    "jinja2>=3.1.4,<4",
    "pyyaml>=6.0.1,<7",
]
DEMO = ["mlxtend>=0.23.4,<0.26"]
# Files of TIFF with more than four channels; the package's versions are dates.
TIFF = ["tifffile>=2025.1,<2027"]
# tensorflow-datasets 4.9.10 needs importlib_resources at run time and does not install it.
TFDS = ["tensorflow-datasets>=4.9.9,<4.10", "importlib_resources>=6.4"]
# jax: a test runs the core on Keras's JAX backend with TensorFlow out of reach.
TEST = [
    "pytest>=8.2,<10",
    "pytest-xdist>=3.6,<4",
    "hypothesis>=6.100,<7",
    "ruff>=0.17,<0.18",  # another version formats differently
    "jax>=0.6,<0.11",
    *DEMO,
    *TFDS,
    *TIFF,
]
# benchmarks/peers.py, and a test that runs the core on Keras's PyTorch backend.
BENCHMARKS = ["torch>=2.13,<2.14"]
DEV = ["pre-commit>=3.7,<5", *TEST]


def read_version() -> str:
    """The version in cpc_keras/version.py, read as text: importing would need keras."""
    text = (HERE / "cpc_keras" / "version.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE).group(1)


def read_description() -> str:
    """README.md."""
    readme = HERE / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


# The shipped presets lie at the top of the repository, where one looks for them, and are installed
# as cpc_keras/saved_models, where from_preset looks for them.
presets = ["cpc_keras.saved_models"] if (HERE / "saved_models").is_dir() else []

setup(
    name="cpc-keras",
    version=read_version(),
    description="Contrastive Predictive Coding for images on Keras 3 and TensorFlow",
    long_description=read_description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    keywords="contrastive predictive coding, self-supervised learning, keras, tensorflow, images",
    python_requires=">=3.11,<3.14",
    install_requires=INSTALL,
    extras_require={
        "demo": DEMO,
        "tfds": TFDS,
        "tiff": TIFF,
        "test": TEST,
        "benchmarks": BENCHMARKS,
        "dev": DEV,
    },
    packages=find_packages(include=["cpc_keras", "cpc_keras.*"]) + presets,
    package_dir={"cpc_keras.saved_models": "saved_models"} if presets else {},
    package_data={
        "cpc_keras": ["py.typed"],
        "cpc_keras.evaluation": ["templates/*"],
        "cpc_keras.saved_models": ["**/*"],
    },
    exclude_package_data={"": ["*.pyc", "**/__pycache__/*"]},
    entry_points={"console_scripts": ["cpc-keras = cpc_keras.cli.main:main"]},
    zip_safe=False,
)

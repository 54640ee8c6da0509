"""The files of an artifact."""

FORMAT_VERSION = 1

# It holds the SHA-256 of every other file.
PRESET = "preset.json"
PRETRAINING = "pretraining.keras"
GOLDEN = "golden.npz"
README = "README.md"

# Without one of these some loader fails.
REQUIRED = (
    "config.json",
    "metadata.json",
    "model.weights.h5",
    "saved_model.pb",
    "variables/variables.index",
    PRETRAINING,
    GOLDEN,
)

# First parts of all paths that Keras or TensorFlow read if they are there.
LOADED = (
    "assets",
    "assets.extra",
    "config.json",
    "fingerprint.pb",
    "metadata.json",
    "model.weights.h5",
    "model.weights.npz",
    "saved_model.pb",
    "saved_model.pbtxt",
    "variables",
    PRETRAINING,
    GOLDEN,
)

"""Opens an artifact in each way where cpc_keras cannot be imported; run by test_loaders.py.

python load_without_package.py ARTIFACT IMAGES.npy RESULTS.npz
"""

import importlib.abc
import sys

import numpy as np


class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cpc_keras":
            raise ModuleNotFoundError(f"{name} is hidden")


def main(artifact, images_file, results_file):
    sys.meta_path.insert(0, Hide())
    import keras
    import tensorflow as tf

    images = np.load(images_file)
    floats = images.astype("float32")
    encoder = tf.keras.models.load_model(artifact)
    saved = tf.saved_model.load(artifact)
    serve = keras.layers.TFSMLayer(artifact, call_endpoint="serve")
    serve_uint8 = keras.layers.TFSMLayer(artifact, call_endpoint="serve_uint8")
    results = {
        "load_model": encoder(floats),
        "load_model_uint8": encoder(images),
        "load_model_predict": encoder.predict(images, verbose=0),
        "saved_model": saved.serve(floats),
        "saved_model_uint8": saved.serve_uint8(images),
        # As hub.KerasLayer(..., signature="serving_default", output_key="output_0") calls it.
        "serving_default": saved.signatures["serving_default"](tf.constant(floats))["output_0"],
        "tfsm_layer": serve(floats),
        "tfsm_layer_uint8": serve_uint8(images),
    }
    before = [w.copy() for w in encoder.get_weights()]
    classifier = keras.Sequential([encoder, keras.layers.Dense(2)])
    classifier.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    classifier.fit(images, np.arange(len(images)) % 2, verbose=0)
    moved = [np.any(b != a) for b, a in zip(before, encoder.get_weights(), strict=True)]
    try:
        import cpc_keras  # noqa: F401
    except ModuleNotFoundError:
        hidden = not any(name.partition(".")[0] == "cpc_keras" for name in sys.modules)
    else:
        hidden = False
    np.savez(results_file, moved=moved, hidden=hidden, keras=keras.__version__, **results)


main(*sys.argv[1:])

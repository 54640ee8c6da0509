import pytest

pytest.importorskip("keras_tuner", reason="the extra search is not installed")

import pytest

from cpc_keras.data.require_memory import _available_bytes, require_memory


def test_images_that_fit_are_let_through():
    require_memory((10, 32, 32, 3), source="folder x")


def test_images_beyond_memory_are_refused_with_the_numbers():
    with pytest.raises(
        ValueError,
        match=r"folder x: 1000000000 images of 1000x1000x3 need 3e\+06 GB, and .* GB of memory are "
        r"available.*Pass a smaller image_size= \(--image-size\)",
    ):
        require_memory((10**9, 1000, 1000, 3), source="folder x")


def test_the_limit_is_what_is_available(monkeypatch):
    monkeypatch.setattr("cpc_keras.data.require_memory._available_bytes", lambda: 150)
    require_memory((1, 10, 15, 1), source="x")
    with pytest.raises(ValueError, match="memory are available"):
        require_memory((1, 10, 16, 1), source="x")


def test_the_limit_of_a_container_counts_where_it_is_the_smaller_one(monkeypatch):
    files = {"/proc/meminfo": "MemTotal: 900 kB\nMemAvailable: 300 kB\n"}
    monkeypatch.setattr("pathlib.Path.read_text", lambda path: files[str(path)])
    for limit, expected in (("max", 300 * 1024), ("5000", 5000), ("900000", 300 * 1024)):
        files["/sys/fs/cgroup/memory.max"] = limit
        assert _available_bytes() == expected


def test_nothing_is_refused_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr("cpc_keras.data.require_memory._available_bytes", lambda: None)
    require_memory((10**9, 1000, 1000, 3), source="x")

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


CGROUP_V2 = {
    "limit": "/sys/fs/cgroup/memory.max",
    "used": "/sys/fs/cgroup/memory.current",
    "stat": "/sys/fs/cgroup/memory.stat",
    "prefix": "",
}
CGROUP_V1 = {
    "limit": "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "used": "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    "stat": "/sys/fs/cgroup/memory/memory.stat",
    "prefix": "total_",
}


@pytest.mark.parametrize("names", [CGROUP_V2, CGROUP_V1])
@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [
        ("9000", "700", 9000),
        ("9000", "6000", 9000 - 6000 + 700),  # of which the cache of files gives way
        ("9000", "9900", 0),
        ("900000", "6000", 300 * 1024),  # the machine has less
        ("max", "6000", 300 * 1024),
        ("9223372036854771712", "6000", 300 * 1024),  # what "max" is in v1
    ],
)
def test_what_a_container_has_left_counts_where_it_is_less(
    monkeypatch, names, limit, used, expected
):
    prefix = names["prefix"]
    files = {
        "/proc/meminfo": "MemTotal: 900 kB\nMemAvailable: 300 kB\n",
        names["limit"]: f"{limit}\n",
        names["used"]: f"{used}\n",
        names["stat"]: f"file 1\n{prefix}inactive_file 500\n{prefix}active_file 200\n",
    }

    def read_text(path):
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr("pathlib.Path.read_text", read_text)
    assert _available_bytes() == expected


def test_nothing_is_refused_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr("cpc_keras.data.require_memory._available_bytes", lambda: None)
    require_memory((10**9, 1000, 1000, 3), source="x")

"""What embedding at scale costs beside a plain loop: `python -m benchmarks.embed`.

The plain loop opens an image, and the next, until a batch is full, predicts it, and in the end
writes one npy of features; nothing is checked, nothing resumes. `embed_images` reads in threads
while the encoder computes, keeps what cannot be read apart, and writes shards that a stopped run
goes on from. Both run by turns in one process on the same JPEG files, a folder made for the
purpose, with two encoders: the `tiny` CPC encoder, whose work is next to nothing beside reading,
and the `small` one of larger images. Whole runs are timed; what is told is the ratio of medians,
since seconds belong to the machine. Results: benchmarks/results/embed.json and the table of
docs/embedding.md, which `--report` remakes from the file.
"""

import argparse
import json
import pathlib
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "embed.json"
PAGE = ROOT / "docs" / "embedding.md"
MARK, END = "<!-- the table of benchmarks/embed.py -->", "<!-- its end -->"
# Name: patch encoder, side of its images, patch and stride.
ENCODERS = {
    "tiny, 32 pixels": ("tiny", 32, 8, 4),
    "small, 64 pixels": ("small", 64, 16, 8),
}
FILE_SIDE = 256  # of the files, in pixels; both ways resize
BATCH_SIZE = 64


def main() -> None:
    """Measure, save, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--page", type=pathlib.Path, default=PAGE)
    parser.add_argument("--report", action="store_true", help="only from what is saved")
    arguments = parser.parse_args()
    if not arguments.report:
        found = measure(arguments.images, arguments.rounds)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")
        print(json.dumps(found, indent=1))
    write_table(json.loads(arguments.out.read_text()), arguments.page)


def measure(num_images: int, rounds: int, encoders=tuple(ENCODERS)) -> dict:
    """Time both ways by turns, `rounds` times, and return medians and their ratios."""
    from benchmarks.step import machine

    found = {
        "machine": machine(),
        "images": num_images,
        "file_side": FILE_SIDE,
        "batch_size": BATCH_SIZE,
        "rounds": rounds,
        "encoders": {},
    }
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        photos = make_photos(directory / "photos", num_images)
        for name in encoders:
            found["encoders"][name] = _compare(name, photos, directory, rounds)
    return found


def make_photos(folder: pathlib.Path, num_images: int) -> pathlib.Path:
    """Write JPEG files of smooth random pictures, which take as long to decode as photographs."""
    from PIL import Image

    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(num_images):
        coarse = Image.fromarray(draw.integers(0, 256, (16, 16, 3), "uint8"))
        picture = coarse.resize((FILE_SIDE, FILE_SIDE), Image.BICUBIC)
        noisy = np.asarray(picture, int) + draw.integers(-12, 13, (FILE_SIDE, FILE_SIDE, 3))
        pixels = np.clip(noisy, 0, 255).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{number:06d}.jpg", quality=90)
    return folder


def build(name: str):
    """The encoder of a name, not trained: what it computes takes as long."""
    from cpc_keras import CPCModel

    encoder, side, patch, stride = ENCODERS[name]
    shape = (side, side, 3)
    return CPCModel(shape, patch_encoder=encoder, patch_size=patch, patch_stride=stride).encoder


def plain_loop(encoder, photos: pathlib.Path, out: pathlib.Path) -> None:
    """Open images one after the other, predict a batch, write one npy."""
    from cpc_keras.data.decode_image import decode_image

    size = encoder.input_shape[1:3]
    files, features = sorted(photos.iterdir()), []
    for start in range(0, len(files), BATCH_SIZE):
        # The package's own decoder: the pixels, and so the features, are the same.
        batch = [
            decode_image(file, image_size=size, channels=3)
            for file in files[start : start + BATCH_SIZE]
        ]
        features.append(np.asarray(encoder.predict_on_batch(np.stack(batch))))
    np.save(out, np.concatenate(features))


def _compare(name, photos, directory, rounds):
    from cpc_keras.embedding import embed_images, read_embedding

    encoder = build(name)
    plain = directory / "plain.npy"

    def ours():
        # Each time anew: an embedding that is finished would not be made again.
        out = tempfile.mkdtemp(dir=directory)
        embed_images(encoder, str(photos), out, file_format="npy", batch_size=BATCH_SIZE)
        return out

    ways = {"plain loop": lambda: plain_loop(encoder, photos, plain), "embed_images": ours}
    ways["plain loop"]()  # traced, and the files are in memory
    difference = float(np.abs(read_embedding(ours())[1] - np.load(plain, allow_pickle=False)).max())
    times = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            started = time.perf_counter()
            run()
            times[way].append(time.perf_counter() - started)
    seconds = {way: float(np.median(values)) for way, values in times.items()}
    num_images = len(list(photos.iterdir()))
    return {
        "seconds": {way: round(value, 4) for way, value in seconds.items()},
        "fastest and slowest": {
            way: [round(f(values), 4) for f in (min, max)] for way, values in times.items()
        },
        "images_per_second": {way: round(num_images / x, 1) for way, x in seconds.items()},
        "throughput, embed_images to plain loop": round(
            seconds["plain loop"] / seconds["embed_images"], 3
        ),
        "greatest difference of features": difference,
    }


def table(found: dict) -> str:
    """What was measured, in Markdown."""
    lines = [
        "| encoder | images a second, plain loop | `embed_images` | ratio |",
        "|---|---|---|---|",
    ]
    for name, entry in found["encoders"].items():
        rates = entry["images_per_second"]
        ratio = entry["throughput, embed_images to plain loop"]
        lines.append(
            f"| {name} | {rates['plain loop']:,.0f} | {rates['embed_images']:,.0f} | {ratio:.2f} |"
        )
    where = found["machine"]
    lines.append(
        f"\n{found['images']:,} JPEG files of {found['file_side']} pixels, batches of "
        f"{found['batch_size']}, medians of {found['rounds']} runs by turns, {where['cores']} "
        f"cores of {where['processor']}, TensorFlow {where['tensorflow']}, Keras {where['keras']}."
    )
    return "\n".join(lines)


def write_table(found: dict, page: pathlib.Path) -> None:
    """Put the table between its marks in the page."""
    before, rest = page.read_text(encoding="utf-8").split(MARK)
    _, after = rest.split(END, 1)
    page.write_text(f"{before}{MARK}\n\n{table(found)}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The data options: what they load, what a run keeps of them, what an evaluation takes over."""

import csv
import json
import os
import pathlib
import subprocess
import sys

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from cpc_keras.cli import options as shared
from cpc_keras.cli.chosen_data import ChosenData
from cpc_keras.cli.data import check
from cpc_keras.cli.embed import embed
from cpc_keras.cli.evaluate import compare, evaluate
from cpc_keras.cli.finetune import finetune
from cpc_keras.cli.pretrain import pretrain, pretrain_and_export
from cpc_keras.data import load_data
from cpc_keras.training import Recipe


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """Six patients with images of 12 bits, and a table of what they have."""
    rng, rows = np.random.default_rng(0), [("name", "finding", "patient")]
    for patient in range(6):
        (tmp_path / "scans" / f"p{patient}").mkdir(parents=True)
        for number in range(4):
            name = f"p{patient}/{number}.png"
            pixels = rng.integers(0, 4096, (8, 8)).astype("uint16")
            pixels[0, :2] = 0, 4095
            Image.fromarray(pixels).save(tmp_path / "scans" / name)
            rows.append((name, ("ill", "well", "")[(patient + number) % 3], f"p{patient}"))
    with open(tmp_path / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


SAID = ("--pixel-range", "0,4095", "--labels", "table.csv:finding", "--groups", "level:1")
FACTS = {"pixel_range": "0,4095", "label_source": "table.csv:finding", "groups": "level:1"}


@click.command()
@click.argument("runs", nargs=-1)
@shared.data_options
@shared.images_option
@shared.test_fraction_option
@shared.groups_option
@click.pass_context
def command(ctx, chosen, runs):
    """Give what was chosen to the test."""
    ctx.obj.append(chosen.as_pretrained([ctx.obj[0] / run for run in runs]))


def choose(root, *arguments):
    found = [root]
    result = CliRunner().invoke(command, [*map(str, arguments)], obj=found)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return found[1], result.output


def run(root, name="run", **settings):
    (root / name / "artifact").mkdir(parents=True)
    settings = {"data": "scans", "num_epochs": 3, **settings}
    (root / name / "config.yaml").write_text(yaml.safe_dump(settings))
    return name


def test_what_a_run_keeps_of_its_data_loads_the_same_again(scans, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "cpc_keras.cli.pretrain.pretrain_and_export",
        lambda splits, recipe, out, *, facts, **options: seen.append((splits, facts)) or out,
    )

    def train(*arguments):
        result = CliRunner().invoke(pretrain, [*arguments, "--out", "run"])
        assert result.exception is None, result.output
        return seen[-1]

    splits, facts = train("--data", "scans", *SAID)
    assert facts == {"data": "scans", "image_size": None, "channels": None, **FACTS}
    (scans / "config.yaml").write_text(yaml.safe_dump(facts))
    again, repeated = train("--config", "config.yaml")
    assert repeated == facts and again.digest() == splits.digest()
    assert splits.train.images.max() == 255 and splits.train.class_names == ("ill", "well")
    # Those without labels are learned from, but not with their class.
    assert (splits.train.labels < 0).any()
    other, _ = train("--config", "config.yaml", "--pixel-range", "0,5000")
    assert other.digest() != splits.digest()


def test_defaults_are_no_facts():
    assert ChosenData("x").facts() == {"data": "x", "image_size": None, "channels": None}
    assert ChosenData("x", test_fraction=0.5, images=3).facts()["test_fraction"] == 0.5


@pytest.mark.parametrize("text", ["5", "a,b", "9,1", "1,1", "1,2,3"])
def test_what_is_no_pixel_range_is_refused(text, tmp_path):
    result = CliRunner().invoke(command, ["--data", "x", "--pixel-range", text], obj=[tmp_path])
    assert result.exit_code == 2 and "expected" in result.output


def test_a_pixel_range_may_begin_below_zero(tmp_path):
    chosen, _ = choose(tmp_path, "--data", "x", "--pixel-range", "-1024, 3071")
    assert chosen.pixel_range == "-1024,3071"


@pytest.mark.parametrize("place", ["run", "run/artifact"])
def test_what_is_not_given_is_that_of_the_run(tmp_path, place):
    settings = {"image_size": 32, "channels": 1, "images": 50, "test_fraction": 0.4, **FACTS}
    run(tmp_path, **settings)
    chosen, told = choose(tmp_path, place, "--data", "scans", "--image-size", 48)
    expected = {**settings, "image_size": 48, "channels": "1"}
    assert {name: getattr(chosen, name) for name in expected} == expected
    assert "--test-fraction 0.4 --groups level:1" in told and "--image-size" not in told
    assert "--labels table.csv:finding" in told
    # Another size splits the same images off.
    assert not chosen.conflict


@pytest.mark.parametrize("data", ["./scans", "folder:scans", "ABSOLUTE"])
def test_the_same_data_may_be_written_in_other_ways(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path, image_size=32)
    data = data.replace("ABSOLUTE", str(tmp_path / "scans"))
    assert choose(tmp_path, "run", "--data", data)[0].image_size == 32


def test_the_same_data_may_be_seen_from_elsewhere(tmp_path, monkeypatch):
    run(tmp_path, image_size=32)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    chosen, told = choose(tmp_path, "run", "--data", "../scans")
    assert chosen.image_size == 32 and "Taken over" in told
    # What lies at the run's path is what it was trained on.
    (tmp_path / "here" / "scans").mkdir()
    chosen, told = choose(tmp_path, "run", "--data", "../scans")
    assert chosen.image_size is None and "is taken for other data" in told


def test_other_data_and_what_has_no_settings_tell_nothing(tmp_path):
    run(tmp_path, image_size=32, test_fraction=0.4)
    (tmp_path / "bare").mkdir()
    for where, data, line in (
        (
            "run",
            "others",
            f"{tmp_path / 'run'} was pre-trained on scans: others is taken for other",
        ),
        ("bare", "scans", ""),
    ):
        arguments = ("--data", data, "--test-fraction", 0.3)
        chosen, told = choose(tmp_path, where, *arguments)
        assert chosen == ChosenData(data, test_fraction=0.3) and told.startswith(line)
        assert line or not told


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        (
            {},
            ("--test-fraction", 0.3),
            "with --test-fraction 0.2. Received with --test-fraction 0.3",
        ),
        ({"groups": "level:1"}, ("--groups", "t.csv:a"), "with --groups level:1. Received with"),
        ({}, ("--groups", "level:1"), "without --groups. Received with --groups level:1"),
        ({"label_source": "a.csv:b"}, ("--labels", "a.csv:c"), "with --labels a.csv:b"),
    ],
)
def test_another_split_than_that_of_the_run_is_refused(settings, options, message, tmp_path):
    name = run(tmp_path, **settings, data=str(tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", images=np.zeros((20, 4, 4), "uint8"), labels=np.arange(20) % 2)
    chosen, _ = choose(tmp_path, name, "--data", tmp_path / "a.npz", *options)
    with pytest.raises(ValueError, match=message):
        # Whatever they name: the split is what matters.
        ChosenData(chosen.data, conflict=chosen.conflict).load()


def test_what_does_not_split_or_is_the_same_is_not_refused(scans):
    run(scans, "same", **FACTS)
    run(scans, "all", test_fraction=0, pixel_range="0,4095")
    run(scans, "unlabeled", label_source="none", pixel_range="0,4095")
    data = ("--data", "scans")
    # Moved: a table of the same name.
    assert not choose(scans, "same", *data, "--labels", f"{scans}/table.csv:finding")[0].conflict
    for name in ("all", "unlabeled"):
        chosen, _ = choose(scans, name, *data, *SAID, "--test-fraction", 0.3)
        assert not chosen.conflict and len(chosen.load().test)
    assert choose(scans, "all", *data)[0].test_fraction == 0.2


def test_a_split_that_the_data_brings_is_not_refused(tmp_path):
    images = np.zeros((20, 4, 4), "uint8")
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(20) % 2, x_test=images)
    name = run(tmp_path, data=str(tmp_path / "a.npz"))
    chosen, _ = choose(tmp_path, name, "--data", tmp_path / "a.npz", "--test-fraction", 0.3)
    assert chosen.conflict and len(chosen.load().test) == 20


def test_runs_agree_or_the_option_is_given(tmp_path):
    runs = [run(tmp_path, "a", image_size=32), run(tmp_path, "b", image_size=48)]
    with pytest.raises(ValueError, match=r"different --image-size: 32 .*48 .*Give the option"):
        choose(tmp_path, *runs, "--data", "scans")
    assert choose(tmp_path, *runs, "--data", "scans", "--image-size", 32)[0].image_size == 32
    assert choose(tmp_path, runs[0], "x", "--data", "scans")[0].image_size == 32


def test_evaluate_and_finetune_take_over_the_data_of_the_run(scans, monkeypatch):
    run(scans, **FACTS)
    seen = []

    def look(splits, *args, **kwargs):
        seen.append(splits)

    def finish(encoder, splits, *args, **kwargs):
        seen.append(splits)
        raise FileNotFoundError("enough")

    class Encoder:
        input_shape = (None, 8, 8, 1)

    monkeypatch.setattr("cpc_keras.cli.evaluate.compare", look)
    monkeypatch.setattr("cpc_keras.cli.finetune.load_encoder", lambda run: Encoder)
    monkeypatch.setattr("cpc_keras.evaluation.fine_tune", finish)
    for tried, arguments in ((evaluate, ()), (finetune, ("--out", "classifier"))):
        result = CliRunner().invoke(tried, ["run", "--data", "scans", *arguments])
        assert result.exception is None or "enough" in str(result.exception), result.output
    expected = ChosenData("scans", **FACTS).load()
    assert seen[0].digest() == expected.digest()
    assert seen[1].digest() == expected.labeled().digest() != expected.digest()


@pytest.fixture
def begin(scans, monkeypatch):
    """A function that begins a run: all that pretrain does before the first step."""

    def train(start, images, *, run_directory, **options):
        run_directory.mkdir(exist_ok=True)
        start()
        (run_directory / "checkpoints").mkdir(exist_ok=True)
        seen.append(images)
        raise FileNotFoundError("enough")

    seen = []
    monkeypatch.setattr("cpc_keras.cli.pretrain.run_pretraining", train)
    monkeypatch.setattr("cpc_keras.cli.pretrain.build_model", lambda *args, **options: None)
    monkeypatch.setattr("cpc_keras.cli.pretrain.start_from", lambda model, init: model)
    # A run that has saved goes on.
    monkeypatch.setattr("cpc_keras.cli.pretrain.newest_checkpoint", pathlib.Path.is_dir)

    def begun(out, *arguments):
        result = CliRunner().invoke(pretrain, ["--data", "scans", "--out", out, *arguments])
        assert "enough" in str(result.exception), result.output
        said = dict(zip(arguments[::2], arguments[1::2], strict=True))
        names = {"pixel_range": "--pixel-range", "label_source": "--labels", "groups": "--groups"}
        facts = {name: said[option] for name, option in names.items() if option in said}
        (scans / out / "config.yaml").write_text(yaml.safe_dump({"data": "scans", **facts}))
        return seen[-1]

    return begun


def label(scans, **columns):
    """Write a table: what each column tells of the images, in their order; "." is nothing."""
    paths = sorted(scans.glob("scans/*/*.png"))
    names = [f"{path.parent.name}/{path.name}" for path in paths]
    told = [["" if cell == "." else cell for cell in column] for column in columns.values()]
    with open(scans / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("name", *columns), *zip(names, *told, strict=True)])


SPLIT = ("--pixel-range", "0,4095", "--groups", "level:1")


def test_labels_that_come_later_leave_the_test_images_of_a_run_as_they_were(scans, begin):
    label(scans, first="ab......ab..........ab..")
    first = ("--labels", "labels.csv:first", *SPLIT)
    trained_on = begin("run", *first)
    before = choose(scans, "run", "--data", "scans")[0].load().test
    label(scans, first="abbaabababbaabbababaabba", second="cdcdcdcdccddcdcdcdcddccd")
    chosen, _ = choose(scans, "run", "--data", "scans")
    assert chosen.load().test.names == before.names
    # By the table alone others would be split off.
    anew = ChosenData("scans", **{**FACTS, "label_source": "labels.csv:first"})
    assert anew.load().test.names != before.names
    second, _ = choose(scans, "run", "--data", "scans", "--labels", "labels.csv:second")
    assert not second.conflict and second.load().test.names == before.names
    # The run goes on with the images it began with.
    np.testing.assert_array_equal(begin("run", *first), trained_on)
    # So does one that starts from it, without any labels at that.
    bare = begin("more", "--labels", "none", *SPLIT, "--init", "run")
    np.testing.assert_array_equal(bare, trained_on)


def test_runs_that_left_out_different_images_are_not_measured_together(scans, begin):
    label(scans, first="ab......ab..........ab..")
    begin("a", "--labels", "labels.csv:first", *SPLIT)
    label(scans, first="abbaabababbaabbababaabba")
    begin("b", "--labels", "labels.csv:first", *SPLIT)
    with pytest.raises(ValueError, match=r"left out different test images: .*one by one"):
        choose(scans, "a", "b", "--data", "scans")


def test_a_run_that_left_nothing_out_may_be_measured_with_labels_that_came_later(scans, begin):
    """Its settings alone would say that it may have split images off."""
    for folder in (scans / "scans").iterdir():
        for path in folder.iterdir():
            path.rename(scans / "scans" / f"{folder.name}-{path.name}")
        folder.rmdir()
    assert len(begin("flat", "--pixel-range", "0,4095")) == 24
    assert (scans / "flat" / "left_out.csv").read_text() == "position,name,pixels\n"
    rows = [
        ("name", "a", "b"),
        *((f"p{i}-{k}.png", "xy"[i % 2], i) for i in range(6) for k in range(4)),
    ]
    with open(scans / "late.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    said = ("--labels", "late.csv:a", "--groups", "late.csv:b")
    chosen, _ = choose(scans, "flat", "--data", "scans", *said)
    assert not chosen.conflict and len(chosen.load().test) in (4, 8)


def test_groups_that_cut_across_what_a_run_left_out_are_refused(scans, begin):
    label(scans, first="ab......ab..........ab..")
    begin("run", "--labels", "labels.csv:first", "--pixel-range", "0,4095")
    begin("more", "--labels", "none", "--pixel-range", "0,4095", "--init", "run")
    for name in ("run", "more"):
        chosen, _ = choose(scans, name, "--data", "scans", "--groups", "level:1")
        with pytest.raises(ValueError, match=r"without --groups\. Received with --groups level:1"):
            chosen.load()


def test_the_settings_of_a_run_that_saved_nothing_may_change_and_split_anew(
    scans, begin, monkeypatch
):
    label(scans, first="abababababababababababab")
    monkeypatch.setattr("cpc_keras.cli.pretrain.newest_checkpoint", lambda directory: None)
    sizes = [
        len(begin("run", "--labels", "labels.csv:first", "--pixel-range", "0,4095", *split))
        for split in (("--test-fraction", "0.25"), ("--test-fraction", "0.5"))
    ]
    assert sizes == [18, 12]
    assert len((scans / "run" / "left_out.csv").read_text().splitlines()) == 13


def test_embed_takes_over_the_pixel_range_of_the_run(tmp_path, monkeypatch):
    seen = []

    def look(encoder, data, out, *, pixel_range, **options):
        seen.append(pixel_range)
        return {"images": 0, "unreadable": 0, "shards": 0}

    monkeypatch.setattr("cpc_keras.embedding.open_encoder", lambda encoder: None)
    monkeypatch.setattr("cpc_keras.embedding.embed_images", look)
    run(tmp_path, pixel_range="0,4095")
    for options in ((), ("--pixel-range", "0,100")):
        arguments = [str(tmp_path / "run"), "--data", "x", "--out", "y", *options]
        result = CliRunner().invoke(embed, arguments)
        assert result.exception is None, result.output
    # An artifact that was exported elsewhere tells it by itself.
    (tmp_path / "copy").mkdir()
    facts = {"facts": {"pixel_range": "-1024,3071"}}
    (tmp_path / "copy" / "preset.json").write_text(json.dumps(facts))
    result = CliRunner().invoke(embed, [str(tmp_path / "copy"), "--data", "x", "--out", "y"])
    assert result.exception is None, result.output
    assert seen == [(0, 4095), (0, 100), (-1024, 3071)]


def test_methods_with_labels_see_those_that_there_are(scans, monkeypatch):
    seen = {}

    def look(build_model, images, **options):
        seen.update(options)
        raise FileNotFoundError("enough")

    monkeypatch.setattr("cpc_keras.cli.pretrain.run_pretraining", look)
    splits = ChosenData("scans", **FACTS).load()
    options = {"facts": {}, "command": "", "probe_every": 0}
    for fraction in (1.0, 0.5):
        with pytest.raises(FileNotFoundError, match="enough"):
            recipe = Recipe(method="supervised")
            pretrain_and_export(splits, recipe, "run", label_fraction=fraction, **options)
        chosen = splits.train.labels[seen["labeled_index"]]
        known = (splits.train.labels >= 0).sum()
        assert len(chosen) == round(fraction * known) and (chosen >= 0).all()


def test_an_evaluation_is_of_the_images_with_labels(scans, monkeypatch):
    seen = []

    def look(splits, *args, **kwargs):
        seen.append(splits)
        raise FileNotFoundError("enough")

    monkeypatch.setattr("cpc_keras.cli.evaluate.RunMeasurement", look)
    splits = ChosenData("scans", **FACTS).load()
    with pytest.raises(FileNotFoundError, match="enough"):
        compare(splits, [scans], scans / "out", fractions=[0.5])
    assert seen[0].digest() == splits.labeled().digest() != splits.digest()


def look_at(*arguments):
    result = CliRunner().invoke(check, ["--data", "scans", *arguments])
    assert result.exception is None, result.output
    return result.output


@pytest.mark.filterwarnings("ignore:.*almost black:UserWarning")
def test_check_tells_where_labels_come_from_and_how_pixels_are_stored(scans):
    told = look_at()
    assert "labels: the names of folders" in told and "6 classes: p0 (4)" in told
    assert "pixels: 0 to 16, scaled by the whole range from stored values 0 to 4095" in told
    told = look_at(*SAID)
    assert "labels: table.csv:finding" in told and "6 groups" in told
    assert "2 classes: ill (8), well (8); 8 without a label" in told
    assert "pixels: 0 to 255, scaled by 0,4095 from stored values 0 to 4095 (uint16)" in told
    assert "no labels" in look_at("--labels", "none")


@pytest.mark.filterwarnings("ignore:.*(almost black|cannot be read):UserWarning")
def test_check_lists_mixed_sizes_and_goes_on(scans):
    Image.new("I;16", (9, 7)).save(scans / "scans" / "p1" / "odd.png")
    (scans / "scans" / "p1" / "broken.png").write_bytes(b"no image")
    (scans / "scans" / "p1" / "photo.heic").write_bytes(b"image")
    with pytest.raises(ValueError, match="2 sizes"):
        load_data("scans")
    told = look_at()
    assert "2 sizes (height x width): 8x8 (24 files), 7x9 (1 files)" in told
    for text in ("train: 25 images", "p1 (5)", "cannot be read: 2", "broken.png", "photo.heic"):
        assert text in told


def test_names_that_are_no_utf_8_are_told_all_the_same(scans):
    (scans / "scans" / os.fsdecode(b"M\xfcller.png")).write_bytes(b"")
    command = [sys.executable, "-m", "cpc_keras.cli.main", "data", "check", "--data", "scans"]
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    environment["PYTHONIOENCODING"] = "utf-8:strict"
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "M\\udcfcller.png: empty file" in done.stdout

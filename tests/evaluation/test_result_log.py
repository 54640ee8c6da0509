"""ResultLog and result_lock."""

import inspect
import subprocess
import sys

from cpc_keras.evaluation import ResultLog, result_lock


def test_results_are_found_again_under_the_same_settings(tmp_path):
    path = tmp_path / "log.jsonl"
    log = ResultLog(path, {"steps": (1, 2)})
    log.add({"a": 1})
    log.add({"a": 2})
    assert ResultLog(path, {"steps": (1, 2)}).results == [{"a": 1}, {"a": 2}]


def test_results_of_other_settings_are_not_taken_over_and_not_lost(tmp_path):
    path = tmp_path / "log.jsonl"
    ResultLog(path, {"steps": 1}).add({"a": 1})
    log = ResultLog(path, {"steps": 2})
    assert log.results == []
    log.add({"a": 3})
    assert ResultLog(path, {"steps": 2}).results == [{"a": 3}]
    assert ResultLog(path, {"steps": 1}).results == [{"a": 1}]
    assert ResultLog(path, {"steps": 2}).results == [{"a": 3}]


def test_a_torn_last_line_is_dropped_and_the_log_goes_on(tmp_path):
    path = tmp_path / "log.jsonl"
    log = ResultLog(path, {})
    log.add({"a": 1})
    log.add({"a": 2})
    log.path.write_text(log.path.read_text()[:-4])
    log = ResultLog(path, {})
    assert log.results == [{"a": 1}]
    log.add({"a": 5})
    assert ResultLog(path, {}).results == [{"a": 1}, {"a": 5}]
    # Torn within its first line.
    log.path.write_text(log.path.read_text()[:1])
    assert log.results == []
    log.add({"a": 6})
    assert log.results == [{"a": 6}]


def test_processes_see_what_others_add(tmp_path):
    path = tmp_path / "log.jsonl"
    one, other = ResultLog(path, {}), ResultLog(path, {})
    one.add({"a": 1})
    other.add({"a": 2})
    assert one.results == other.results == [{"a": 1}, {"a": 2}]


def test_processes_with_other_settings_are_not_in_each_others_way(tmp_path):
    path = tmp_path / "log.jsonl"
    one = ResultLog(path, {"steps": 1})
    one.add({"a": 1})
    other = ResultLog(path, {"steps": 2})  # and ends before its first result
    assert ResultLog(path, {"steps": 1}).results == [{"a": 1}]
    one.add({"a": 2})
    other.add({"a": 3})
    one.add({"a": 4})
    assert one.results == [{"a": 1}, {"a": 2}, {"a": 4}] and other.results == [{"a": 3}]


def test_a_lock_is_held_by_one_and_ends_with_the_process(tmp_path):
    path = tmp_path / "locks" / "part"
    hold = (
        # The file alone: the package would have Keras imported.
        "import runpy, sys, time; result_lock = runpy.run_path(sys.argv[2])['result_lock']\n"
        "with result_lock(sys.argv[1]): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path), inspect.getsourcefile(inspect.unwrap(result_lock))],
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        with result_lock(path, wait=False) as mine:
            assert not mine
        other.kill()
        other.wait()
    with result_lock(path, wait=False) as mine:
        assert mine

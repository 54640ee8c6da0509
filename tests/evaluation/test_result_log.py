"""ResultLog."""

from cpc_keras.evaluation import ResultLog


def test_results_are_found_again_under_the_same_settings(tmp_path):
    path = tmp_path / "log.jsonl"
    log = ResultLog(path, {"steps": (1, 2)})
    log.add({"a": 1})
    log.add({"a": 2})
    assert ResultLog(path, {"steps": (1, 2)}).results == [{"a": 1}, {"a": 2}]


def test_results_of_other_settings_are_not_taken_over(tmp_path):
    path = tmp_path / "log.jsonl"
    ResultLog(path, {"steps": 1}).add({"a": 1})
    log = ResultLog(path, {"steps": 2})
    log.add({"a": 3})
    assert ResultLog(path, {"steps": 2}).results == [{"a": 3}]


def test_a_torn_last_line_is_dropped_and_the_log_goes_on(tmp_path):
    path = tmp_path / "log.jsonl"
    log = ResultLog(path, {})
    log.add({"a": 1})
    log.add({"a": 2})
    path.write_text(path.read_text()[:-4])
    log = ResultLog(path, {})
    assert log.results == [{"a": 1}]
    log.add({"a": 5})
    assert ResultLog(path, {}).results == [{"a": 1}, {"a": 5}]

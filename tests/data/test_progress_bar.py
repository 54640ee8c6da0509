import sys

from cpc_keras.data.progress_bar import progress_bar


def test_items_pass_unchanged():
    assert list(progress_bar("abc", "letters", total=3)) == ["a", "b", "c"]


def test_few_items_are_silent_where_stderr_is_no_terminal(capfd):
    list(progress_bar(range(1000), "few", total=1000))
    assert capfd.readouterr().err == ""


def test_many_items_show_rate_and_time_left_everywhere(capfd):
    list(progress_bar(range(1001), "many", total=1001))
    err = capfd.readouterr().err
    assert "many: 100%" in err and "image/s" in err and "1001/1001" in err and "<" in err


def test_few_items_are_shown_on_a_terminal(capfd, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    list(progress_bar(range(3), "few", total=3))
    assert "3/3" in capfd.readouterr().err

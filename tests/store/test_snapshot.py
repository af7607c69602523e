"""FILES: what is taken, what is refused, and that the copy is the file."""

import os

import pytest

from tui_sweep.core.errors import UsageError
from tui_sweep.store.snapshot import collect, copier


def test_files_keep_their_path_below_the_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("a")
    (tmp_path / "main.py").write_text("m")
    found = collect(["main.py", "src/a.py"], tmp_path)
    assert list(found) == ["main.py", "src/a.py"]
    copier(found)(tmp_path / "copy")
    assert (tmp_path / "copy" / "src" / "a.py").read_text() == "a"


def test_a_folder_stands_for_all_it_holds(tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").write_text("f")
    (tmp_path / "d" / "g").write_text("g")
    (tmp_path / "d" / "loop").symlink_to(tmp_path / "d")
    assert list(collect([str(tmp_path / "d")], tmp_path)) == ["d/e/f", "d/g"]


@pytest.mark.parametrize("inside", ["nothing", "a folder", "a link to itself", "a link to nothing"])
def test_a_folder_without_a_file_is_refused_for_without_files_nothing_is_copied(tmp_path, inside):
    folder = tmp_path / "empty"
    folder.mkdir()
    if inside == "a folder":
        (folder / "another").mkdir()
    if inside.startswith("a link"):
        (folder / "link").symlink_to(folder if "itself" in inside else tmp_path / "missing")
    (tmp_path / "main.py").touch()
    with pytest.raises(UsageError, match="no file in this folder") as caught:
        collect([str(tmp_path / "main.py"), str(folder)], tmp_path)
    assert caught.value.text == str(folder)


def test_a_link_is_copied_as_the_file_it_points_to(tmp_path):
    (tmp_path / "outside").write_text("data")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "link").symlink_to(tmp_path / "outside")
    found = collect([str(tmp_path / "base" / "link")], tmp_path / "base")
    copier(found)(tmp_path / "copy")
    assert (tmp_path / "copy" / "link").read_text() == "data"
    assert not (tmp_path / "copy" / "link").is_symlink()


def test_modes_are_kept_and_the_copy_is_always_ours_to_change(tmp_path):
    (tmp_path / "run.sh").write_text("x")
    (tmp_path / "run.sh").chmod(0o555)
    found = collect([str(tmp_path / "run.sh")], tmp_path)
    copier(found)(tmp_path / "copy")
    assert (tmp_path / "copy" / "run.sh").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda base: "missing.py", "No such file"),
        (lambda base: "../outside", "outside of --basedir"),
        (lambda base: "nul\0name", "not a file name"),
        (lambda base: "pipe", "neither a file nor a folder"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_name(tmp_path, monkeypatch, make, words):
    base = tmp_path / "base"
    base.mkdir()
    (tmp_path / "outside").write_text("x")
    os.mkfifo(base / "pipe")
    monkeypatch.chdir(base)
    text = make(base)
    with pytest.raises(UsageError, match=words) as caught:
        collect([text], base)
    assert caught.value.text == text


def test_a_file_that_vanishes_before_the_copy_is_an_error_with_its_name(tmp_path):
    (tmp_path / "a").write_text("x")
    found = collect([str(tmp_path / "a")], tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(UsageError, match="cannot be read any more") as caught:
        copier(found)(tmp_path / "copy")
    assert caught.value.text == "a"

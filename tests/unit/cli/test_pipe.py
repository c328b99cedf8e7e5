"""A reader that stops reading ends a command without a word."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ontogeny.cli import data, main

CODE = "import sys; from ontogeny.cli import main; sys.exit(main())"


@pytest.mark.parametrize("verb", [["data", "list"], ["data", "show", "planted-vision"]], ids=" ".join)
def test_a_closed_pipe_is_no_error(verb):
    """The reading end is closed before the first byte, so that every write finds nobody."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", CODE, *verb], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 141


def test_a_shell_pipe_into_head_is_silent():
    command = f"{sys.executable} -c '{CODE}' data show planted-vision | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


def test_another_broken_pipe_is_not_hidden(monkeypatch, capfd):
    """A socket that broke while our own output is open is an error of the command."""

    def broken(**_):
        sys.stdout.write("so far\n")
        raise BrokenPipeError("a socket")

    monkeypatch.setattr(data.app["list"], "default_command", broken)
    assert main(["data", "list"]) == 2
    printed = capfd.readouterr()
    assert printed.out == "so far\n"
    assert printed.err == "ontogeny data: a socket\n"

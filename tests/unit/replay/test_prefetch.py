"""Fetching ahead: order, errors, bounds on disk, and clean ends. The hub's own tests do the same over HTTP."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
from tests.helpers.orders import orders
from torch import nn

from ontogeny.errors import DownloadError
from ontogeny.replay import CheckpointSeries
from ontogeny.replay import _prefetch as prefetch
from ontogeny.replay._prefetch import prefetched


class Disk:
    """A series whose checkpoints are files that take a while to come."""

    def __init__(self, folder, *, seconds=0.02, missing=(), stuck=None, undeletable=()):
        self.folder, self.seconds, self.missing = folder, seconds, missing
        self.stuck, self.undeletable = stuck, undeletable
        self.most, self.log, self.lock = 0, [], threading.Lock()
        self.series = CheckpointSeries(
            name="disk",
            steps=tuple(range(6)),
            load=lambda _: nn.Identity(),
            where=lambda step: f"disk@{step}",
            fetch=self.fetch,
            forget=self.forget,
        )

    def path(self, step):
        return self.folder / str(step)

    def fetch(self, step):
        if step in self.missing:
            raise DownloadError(f"disk@{step} is gone")
        self.path(step).write_text("half")
        with self.lock:
            self.most = max(self.most, len(self.there()))
            self.log.append(("begin", step))
        time.sleep(self.seconds)
        if self.stuck is not None and step > 0:
            self.stuck.wait(20)
        self.path(step).write_text("whole")
        self.log.append(("end", step))

    def forget(self, step):
        if step in self.undeletable:
            raise OSError("read-only")
        self.path(step).unlink(missing_ok=True)

    def there(self):
        return sorted(int(p.name) for p in self.folder.iterdir())


def settled():
    deadline = time.monotonic() + 20
    while any(t.name.startswith("ontogeny fetch") for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_each_step_is_whole_when_it_arrives_the_next_one_comes_meanwhile_and_two_are_on_disk(tmp_path):
    disk = Disk(tmp_path)
    for order, error in prefetched(orders(disk.series)):
        assert error is None
        assert disk.path(order[1].step).read_text() == "whole"
        if order[1].step < 5:
            time.sleep(3 * disk.seconds)
            assert ("end", order[1].step + 1) in disk.log
    assert disk.most == 2
    assert disk.there() == []
    assert [step for what, step in disk.log if what == "begin"] == list(range(6))


def test_an_error_arrives_at_its_step_and_the_rest_goes_on(tmp_path):
    disk = Disk(tmp_path, missing=(0, 3, 5))
    arrived = [(o[1].step, None if error is None else str(error)) for o, error in prefetched(orders(disk.series))]
    assert arrived == [
        (0, "disk@0 is gone"),
        (1, None),
        (2, None),
        (3, "disk@3 is gone"),
        (4, None),
        (5, "disk@5 is gone"),
    ]
    assert disk.there() == []


def test_chosen_steps_in_their_order_and_one_twice(tmp_path):
    disk = Disk(tmp_path)
    assert [o[1].step for o, _ in prefetched(orders(disk.series, [4, 1, 1, 4]))] == [4, 1, 1, 4]
    assert disk.there() == []
    assert list(prefetched([])) == []


def test_keep(tmp_path):
    disk = Disk(tmp_path)
    assert len(list(prefetched(orders(disk.series, keep=True)))) == 6
    assert disk.there() == list(range(6))


def test_a_caller_that_raises_leaves_nothing_on_disk_and_no_thread(tmp_path):
    disk = Disk(tmp_path)

    def score():
        with closing(prefetched(orders(disk.series))) as arrivals:
            for order, _ in arrivals:
                if order[1].step == 2:
                    raise RuntimeError("scoring failed")

    with pytest.raises(RuntimeError, match="scoring failed"):
        score()
    settled()
    assert disk.there() == []
    assert ("begin", 4) not in disk.log


def test_a_loop_that_is_left_early_leaves_nothing_either(tmp_path):
    disk = Disk(tmp_path)
    for order, _ in prefetched(orders(disk.series)):
        if order[1].step == 1:
            break
    settled()
    assert disk.there() == []


def test_a_download_that_hangs_is_not_waited_for_and_deletes_itself_later(tmp_path, monkeypatch):
    monkeypatch.setattr(prefetch, "_PATIENCE", 0.1)
    disk = Disk(tmp_path, stuck=threading.Event())
    before = time.monotonic()
    with closing(prefetched(orders(disk.series))) as arrivals:
        assert next(arrivals)[0][1].step == 0
    assert time.monotonic() - before < 5
    disk.stuck.set()
    settled()
    assert disk.there() == []


def test_what_cannot_be_deleted_is_said_and_the_rest_goes_on(tmp_path):
    disk = Disk(tmp_path, undeletable=(1,))
    with pytest.warns(UserWarning, match="disk@1 could not be deleted: read-only"):
        assert [o[1].step for o, _ in prefetched(orders(disk.series))] == list(range(6))
    assert disk.there() == [1]

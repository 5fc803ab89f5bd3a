import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers.messages import assert_mentions, raises_mentioning

from autolink_gen.studio import jobs as jobs_module
from autolink_gen.studio.jobs import MAX_WAITING, Job, Jobs


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    with Jobs() as opened:
        yield opened


def _until(is_so: Callable[[], bool]) -> None:
    for _ in range(2000):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("it did not become so")


def _result(jobs: Jobs, key: str) -> dict[str, Any]:
    _until(lambda: jobs.state(key)["result"] is not None)
    return jobs.state(key)["result"]


def test_a_job_tells_how_far_it_is_and_then_its_result(jobs: Jobs) -> None:
    half_way, go_on = threading.Event(), threading.Event()

    def work(job: Job) -> dict[str, Any]:
        for item in job.progress(range(4), 4, "search"):
            if item == 2:
                half_way.set()
                assert go_on.wait(20)
        return {"found": 7}

    key = jobs.start(work)
    assert half_way.wait(20)
    state = jobs.state(key)
    assert (state["label"], state["done"], state["total"], state["result"]) == ("search", 2, 4, None)
    assert state["left_s"] > 0
    go_on.set()
    assert _result(jobs, key) == {"found": 7}
    assert jobs.state(key)["done"] == 4


def test_a_stopped_job_keeps_what_it_has_and_one_that_waits_never_begins(jobs: Jobs) -> None:
    begun = threading.Event()
    seen: list[int] = []

    def endless(job: Job) -> dict[str, Any]:
        for item in job.progress(iter(int, 1), 10**9, "search"):
            seen.append(item)
            begun.set()
            time.sleep(0.001)
        return {"seen": len(seen)}

    first, second, third = jobs.start(endless), jobs.start(lambda job: {"second": 1}), jobs.start(endless)
    assert begun.wait(20)
    assert [jobs.state(key)["before"] for key in (first, second, third)] == [0, 1, 2]
    jobs.stop(third)
    jobs.stop(first)
    assert _result(jobs, first) == {"seen": len(seen)}
    assert _result(jobs, second) == {"second": 1}
    assert_mentions(jobs.state(third)["result"]["error"], "stopped")


def test_an_error_is_one_line_and_the_next_job_begins(jobs: Jobs) -> None:
    def fail(job: Job) -> dict[str, Any]:
        raise ValueError("the file is no picture")

    keys = jobs.start(fail), jobs.start(lambda job: {})
    assert _result(jobs, keys[0]) == {"error": "the file is no picture"}
    assert _result(jobs, keys[1]) == {}


def test_a_job_ends_when_its_page_asks_no_longer(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "_FORGOTTEN_S", -1.0)
    key = jobs.start(lambda job: {"items": list(job.progress(range(5), 5, "search"))})
    assert _result(jobs, key) == {"items": []}


def test_too_many_jobs_and_unknown_ones_are_refused() -> None:
    with Jobs() as jobs:
        go_on = threading.Event()
        keys = [jobs.start(lambda job: {"waited": go_on.wait(20)})]
        _until(lambda: jobs.state(keys[0])["before"] == 0)
        keys += [jobs.start(lambda job: {}) for _ in range(MAX_WAITING)]
        with raises_mentioning(ValueError, MAX_WAITING):
            jobs.start(lambda job: {})
        with raises_mentioning(ValueError, "job"):
            jobs.state("another")
        go_on.set()
        _result(jobs, keys[-1])
        jobs.start(lambda job: {})
        with raises_mentioning(ValueError, "job"):  # results are not kept for ever
            jobs.state(keys[0])

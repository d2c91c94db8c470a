"""One description of the machine, which whatever is measured or trained gives."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict

import pytest
import torch

from stmnet.profiling.machine import describe_machine


def test_a_cpu_by_its_name_cores_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    machine = describe_machine()
    assert machine == describe_machine("cpu") == describe_machine(torch.device("cpu"))
    assert (machine.device, machine.cores) == ("cpu", os.cpu_count())
    assert machine.threads == torch.get_num_threads()
    assert machine.device_name
    assert machine.platform == platform.platform()
    assert machine.versions["torch"] == torch.__version__.partition("+")[0]
    assert machine.versions["python"] == platform.python_version()
    assert machine.versions["cuda"] is None
    assert json.loads(json.dumps(asdict(machine))) == asdict(machine), "run.json holds it"


def test_a_gpu_by_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {torch.device("cuda"): "First GPU", torch.device("cuda", 1): "Second GPU"}
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", names.__getitem__)
    monkeypatch.setattr("torch.version.cuda", "13.0")
    assert describe_machine().device_name == "First GPU"
    machine = describe_machine("cuda:1")
    assert (machine.device, machine.device_name) == ("cuda", "Second GPU")
    assert machine.versions["cuda"] == "13.0"

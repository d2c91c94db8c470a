"""What the report page is made of: the clips' own frames, and the device that was used."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stmnet.data.preprocessing import Preprocessing
from stmnet.datasets.clip_list import Clip, ClipList
from stmnet.evaluation.results import ModelResult
from stmnet.models.zoo import build_model
from stmnet.recognizer import ModelConfig, Recognizer
from stmnet.report.contents import ReportContents, machine_facts, make_report
from tests.conftest import VideoWriter, decode_all

LABELS = ("left", "right")


def gather(clips: tuple[Clip, ...]) -> ReportContents:
    """A report on a network that is right about every clip."""
    options = {"width": 8, "reduction": 4}
    config = ModelConfig("stm_resnet18", LABELS, Preprocessing(4, 72, 72), options)
    network = build_model(config.model, num_classes=2, num_frames=4, width=8, reduction=4)
    targets = torch.tensor([clip.label for clip in clips])
    probabilities = torch.nn.functional.one_hot(targets, 2).float()
    result = ModelResult("STM", config.model, 1, probabilities, targets)
    clip_list = ClipList(clips, LABELS)
    return make_report("title", "data", clip_list, [result], [Recognizer(network, config)], {})


def test_features_are_of_the_part_that_the_clip_is(make_video: VideoWriter) -> None:
    recording = make_video("recording.mp4", num_frames=60, width=72, height=72)
    report = gather((Clip(recording, 0, 20, 36), Clip(recording, 1, 44)))
    decoded = decode_all(recording)
    # Middles of quarters of 20 to 35 and of 44 to 59.
    expected = {"left": [22, 26, 30, 34], "right": [46, 50, 54, 58]}
    assert {example.label for example in report.feature_examples} == set(LABELS)
    for example in report.feature_examples:
        frames = example.frames.permute(0, 2, 3, 1).numpy()
        assert np.array_equal(frames, decoded[expected[example.label]])


def test_the_device_is_the_one_that_was_used(
    make_video: VideoWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {torch.device("cuda", 1): "Second GPU"}
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device=None: names[device])
    assert machine_facts(torch.device("cuda", 1))["Device"] == "Second GPU"
    on_cpu = gather((Clip(make_video("a.mp4"), 0),))
    assert on_cpu.facts["Device"] == f"CPU ({torch.get_num_threads()} threads)"

"""What the report page of a test is made of, gathered: results, feature maps, facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from stmnet.analysis.feature_maps import FeatureExample, first_block_features, has_stm_blocks
from stmnet.datasets.clip_list import Clip, ClipList
from stmnet.errors import VideoError
from stmnet.evaluation.results import ModelResult
from stmnet.profiling.machine import describe_machine
from stmnet.recognizer import Recognizer

NUM_FEATURE_EXAMPLES = 2


@dataclass(frozen=True)
class ReportContents:
    """Everything the page is made of. `results` come in the order in which they are shown."""

    title: str
    dataset: str
    label_names: tuple[str, ...]
    clips: tuple[Clip, ...]
    results: tuple[ModelResult, ...]
    feature_examples: tuple[FeatureExample, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)


def make_report(
    title: str,
    dataset: str,
    clip_list: ClipList,
    results: Sequence[ModelResult],
    recognizers: Sequence[Recognizer],
    facts: dict[str, str],
) -> ReportContents:
    """Gather what the page shows. Feature maps are those of the first network with STM blocks."""
    examples: tuple[FeatureExample, ...] = ()
    for result, recognizer in zip(results, recognizers, strict=True):
        if has_stm_blocks(recognizer.network):
            examples = _feature_examples(result, recognizer, clip_list)
            break
    return ReportContents(
        title=title,
        dataset=dataset,
        label_names=clip_list.label_names,
        clips=clip_list.clips,
        results=tuple(results),
        feature_examples=examples,
        facts=facts | machine_facts(recognizers[0].device),
    )


def machine_facts(device: torch.device) -> dict[str, str]:
    """The name of the device that was used and versions, for the page's foot."""
    machine = describe_machine(device)
    on_cpu = f"CPU ({machine.threads} threads)"
    versions = machine.versions
    return {
        "Device": machine.device_name if machine.device == "cuda" else on_cpu,
        "Versions": f"stmnet {versions['stmnet']}, torch {versions['torch']}, "
        f"Python {versions['python']}",
    }


def _feature_examples(
    result: ModelResult, recognizer: Recognizer, clip_list: ClipList
) -> tuple[FeatureExample, ...]:
    """The surest right answers, each of another class."""
    confidences, predicted = result.probabilities.max(dim=1)
    right: Tensor = predicted == result.targets
    examples: list[FeatureExample] = []
    for index in confidences.mul(right).argsort(descending=True).tolist():
        clip = clip_list.clips[index]
        label = clip_list.label_names[clip.label]
        if len(examples) == NUM_FEATURE_EXAMPLES or not right[index]:
            break
        if label in {example.label for example in examples}:
            continue
        try:
            examples.append(first_block_features(recognizer, clip, label))
        except VideoError:
            continue
    return tuple(examples)

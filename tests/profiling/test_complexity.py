"""Counts against closed forms, against fvcore's and against the paper's tables."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stmnet.cli.complexity import parse_options
from stmnet.cli.main import main
from stmnet.errors import StmnetError, UnknownModelError
from stmnet.models.zoo import build_model, list_models
from stmnet.profiling.complexity import measure, measure_network
from stmnet.profiling.paper_costs import (
    TABLE_4,
    TABLE_10,
    PaperCost,
    PaperFigure,
    compare,
    compare_row,
)

BUILT_4 = [cost for cost in TABLE_4 if cost.model in list_models()]


class Tiny(nn.Module):
    """Every rule once, on (T, C, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(4, 6, 3, padding=1, groups=2)
        self.bn = nn.BatchNorm2d(6)
        self.fixed = nn.Conv2d(6, 8, (1, 5), stride=2, bias=False).requires_grad_(False)
        self.fc = nn.Linear(8, 5)

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.bn(self.grouped(maps))
        maps = torch.relu(maps)
        return self.fc(self.fixed(maps).mean(dim=(2, 3)))


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_macs_and_parameters_by_hand(device: str) -> None:
    maps = torch.zeros(3, 4, 9, 11, device=device)
    cost = measure_network(Tiny().to(device).eval(), maps)
    grouped = 3 * 9 * 11 * 6 * (4 // 2) * 9
    batch_norm = 2 * 3 * 6 * 9 * 11
    strided = 3 * 5 * 4 * 8 * 6 * 5
    linear = 3 * 8 * 5
    pooled = 3 * 8 * 5 * 4
    assert cost.macs == grouped + batch_norm + strided + pooled + linear
    assert cost.parameters == (6 * 2 * 9 + 6) + 12 + 8 * 6 * 5 + (8 * 5 + 5)
    assert {part.name: part.macs for part in cost.modules} == {
        "grouped": grouped,
        "bn": batch_norm,
        "fixed": strided,
        "fc": linear,
    }
    assert "aten.relu" in cost.free_operators
    assert not {"aten.convolution", "aten.addmm", "aten.mean"} & set(cost.free_operators)
    assert not any("norm" in operator for operator in cost.free_operators)


def test_peak_memory_by_hand() -> None:
    class Branches(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            kept = maps + 1  # the clip, and one more: 2
            doubled = torch.cat([maps, kept])  # 4
            del kept  # 3
            view = doubled.view(-1).relu_()  # a view and work in place take nothing: 3
            halves = view.view(2, -1).sum(dim=0)  # 4
            del doubled, view  # 2
            return torch.cat([halves, halves, halves])  # 5

    maps = torch.zeros(7, 10)
    assert measure_network(Branches(), maps).peak_activation_bytes == 5 * 7 * 10 * 4
    assert measure_network(nn.Identity(), maps).peak_activation_bytes == 7 * 10 * 4


def test_peak_memory_of_tsn_is_that_of_its_first_block() -> None:
    # The clip and its copy in channels_last; the stem's features and conv2's of 64 channels; the
    # projected identity, conv3's and bn3's of 256. Less where forward lets go of some.
    channel = 8 * 56 * 56 * 4
    peak = measure("tsn_resnet50").peak_activation_bytes
    clip = 8 * 3 * 224 * 224 * 4
    normalizing = 2 * 256 * 4  # what batch normalization keeps beside its result
    assert 3 * 256 * channel < peak <= (3 * 256 + 2 * 64) * channel + 2 * clip + normalizing


# What fvcore 0.1.5 counts for the same networks, 8 frames of 224 x 224 and 174 classes. It has the
# average over a frame, but no max-pools and no average over time.
BY_FVCORE = {
    "tsn_resnet50": ({}, 32_878_567_424),
    "stm_resnet50": ({}, 33_255_941_120),
    "stm_resnet50 cstm": ({"modules": "cstm"}, 32_924_327_936),
    "stm_resnet50 cstm standard": (
        {"modules": "cstm", "cstm_temporal": "standard"},
        40_585_601_024,
    ),
}


@pytest.mark.parametrize("name", BY_FVCORE)
def test_macs_are_fvcores(name: str) -> None:
    options, total = BY_FVCORE[name]
    stem = 8 * 64 * 112 * 112
    has_cmm = name == "stm_resnet50"
    strided_cmms = 8 * (128 * 56 * 56 + 256 * 28 * 28 + 512 * 14 * 14) * has_cmm
    over_time = 8 * 174
    cost = measure(name.split()[0], options=options)
    assert cost.macs == total + stem + strided_cmms + over_time


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.AvgPool2d(3, stride=1, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.MaxPool3d(2),
        nn.AvgPool3d((1, 2, 2)),
        nn.AdaptiveAvgPool3d(1),
    ],
    ids=repr,
)
def test_every_pooling_costs_one_per_element(pool: nn.Module) -> None:
    volume = torch.zeros(2, 5, 4, 8, 6)
    maps = volume if "3d" in type(pool).__name__ else volume[0]
    assert measure_network(pool, maps).macs == maps.numel()


@pytest.mark.parametrize(
    ("name", "asked", "gigamacs", "parameters"),
    [
        ("tsn_resnet50", {}, 32.88, 23_864_558),
        ("stm_resnet50", {}, 33.255, 24_035_666),
        ("stm_resnet50", {"num_frames": 16}, 66.51, 24_035_666),
        ("tsm_resnet50", {"num_classes": 400}, 32.88, 24_327_632),
    ],
)
def test_costs_that_facts_name(
    name: str, asked: dict[str, Any], gigamacs: float, parameters: int
) -> None:
    cost = measure(name, **asked)
    assert cost.macs / 1e9 == pytest.approx(gigamacs, rel=0.001)  # FACTS counts no pooling
    assert cost.parameters == parameters


@pytest.mark.parametrize("cost", BUILT_4, ids=lambda cost: cost.row)
def test_table_4_within_one_percent(cost: PaperCost) -> None:
    row = compare_row(cost).to_json()
    assert abs(row["macs"]["difference"]) <= 0.01
    if row["parameters"] and "below" not in cost.remark:
        assert abs(row["parameters"]["difference"]) <= 0.01


def test_table_10_to_the_printed_digit_where_it_can_be_reached() -> None:
    agrees = {}
    for cost in TABLE_10:
        assert cost.parameters is not None
        ours = cost.measure()
        agrees[cost.row] = (
            cost.macs.agrees_with(ours.macs),
            cost.parameters.agrees_with(ours.parameters),
        )
        if cost.row in ("CSTM, channel-wise 1D", "CSTM, all ordinary"):
            printed = (f"{ours.macs / 1e9:.2f}G", f"{ours.parameters / 1e6:.2f}M")
            assert printed == (cost.macs.printed, cost.parameters.printed)
            assert agrees.pop(cost.row) == (True, True)
    # FACTS: not reproducible from any reading found. Should one be found, its remark must go.
    assert set(agrees.values()) == {(False, False)}


def test_printed_figures() -> None:
    figure = PaperFigure("33.3G")
    assert figure.value == pytest.approx(33.3e9)
    assert figure.agrees_with(33.255e9)
    assert figure.agrees_with(33.38e9)  # cut, not rounded
    assert not figure.agrees_with(33.19e9)
    assert figure.difference(66.6e9) == pytest.approx(1)
    assert PaperFigure("64G").agrees_with(64.4e9)


def test_table_rows_appear_with_the_networks() -> None:
    rows = [row.to_json() for row in compare(10)]
    assert [row["row"] for row in rows] == [cost.row for cost in TABLE_10]
    assert {cost.model for cost in TABLE_4} >= {"i3d_resnet50", "eco_full", "tea_res2net50"}
    # Every figure that is missed has its reason.
    for row in rows:
        assert row["remark"] or (row["macs"]["agrees"] and row["parameters"]["agrees"])


def test_an_operator_nobody_counts_is_named() -> None:
    cost = measure("stm_resnet18", size=64)
    assert "aten.relu_" in cost.free_operators
    assert cost.modules[0].name == "conv1"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["complexity", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("table", [4, 10])
def test_the_papers_tables_fit_a_page(capsys: pytest.CaptureFixture[str], table: int) -> None:
    code, out, _ = printed(capsys, "--table", str(table))
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    # Every remark stands once below the table, under the number that its rows have.
    head, _, notes = out.partition("\n\n")
    notes = " ".join(notes.split())
    for cost in {4: TABLE_4, 10: TABLE_10}[table]:
        (row,) = [line for line in head.splitlines() if line.startswith(f"{cost.row}  ")]
        assert cost.macs.printed in row.split()
        number = row.split()[-1]
        assert number.startswith("(") == bool(cost.remark)
        if cost.remark:
            assert notes.count(f"{number} {cost.remark}") == 1


def test_options_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["modules=cstm", "stages=[2, 3]", "blocks=1", "dropout=0.2"]
    assert parse_options(words) == {
        "modules": "cstm", "stages": [2, 3], "blocks": 1, "dropout": 0.2
    }  # fmt: skip
    words = ("stm_resnet18", "--option", "modules=none", "--size", "32", "--modules", "1", "--json")
    told = json.loads(printed(capsys, *words)[1])
    assert told["parameters"] == measure("tsn_resnet18", size=32).parameters
    assert [part["name"] for part in told["modules"]][:2] == ["conv1", "bn1"]
    with pytest.raises(UnknownModelError, match="--option cstm: no value. Write NAME=VALUE."):
        parse_options(["cstm"])
    with pytest.raises(UnknownModelError, match=r"--option stages=\[2: the value is not YAML"):
        parse_options(["stages=[2"])
    code, out, err = printed(capsys, "tsn_resnet18", "--table", "4", "--num-classes", "3")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "Leave out model, num-classes" in err
    with pytest.raises(StmnetError, match="size is 0. Give at least 1."):
        measure("tsn_resnet18", size=0)


def test_counting_leaves_the_network_as_it_was() -> None:
    network = build_model("stm_resnet18", num_classes=3, num_frames=2, width=8).eval()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    measure_network(network, torch.zeros(1, 2, 3, 32, 32))
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, before[name])

"""An optimized network says what the plain one says, and leaves it as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch._inductor import config as inductor_config

import stmnet
from stmnet.models.optimize import fast_dtype, optimize
from stmnet.models.zoo import build_model, list_models

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
NUM_FRAMES = 4

VARIANTS: list[dict[str, object]] = [
    {"modules": "none"},
    {"modules": "cstm"},
    {"modules": "cmm"},
    {"fusion": "concat"},
    {"kernels": "frequency"},
    {"blocks": 1},
    {"cstm_temporal": "standard"},
    {"cstm_spatial": "channelwise"},
    {"cmm_transform": "standard"},
]


def trained(name: str, **options: object) -> nn.Module:
    """A network none of whose batch norms and temporal parts is at its neutral start."""
    torch.manual_seed(5)
    model = build_model(name, num_classes=7, num_frames=NUM_FRAMES, width=16, **options)
    for module in model.modules():
        if isinstance(module, NORMS):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.2)
            nn.init.normal_(module.bias, std=0.2)
    for name, parameter in model.named_parameters():
        if "temporal" in name or "transform" in name:
            nn.init.normal_(parameter, std=0.4)
    return model.eval()


def clips(size: int = 40) -> Tensor:
    return torch.randn(2, NUM_FRAMES, 3, size, size, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def assert_same_logits(model: nn.Module) -> nn.Module:
    expected = model(clips())
    # Scores of order one, so that 1e-4 is a real bound.
    with torch.no_grad():
        model.fc.weight.div_(expected.std())
    expected = model(clips())
    assert expected.std() > 0.5
    quick = optimize(model)
    torch.testing.assert_close(quick(clips()), expected, rtol=0, atol=1e-4)
    return quick


@pytest.mark.parametrize("name", list_models())
def test_every_model_keeps_its_logits(name: str) -> None:
    quick = assert_same_logits(trained(name))
    left = [name for name, module in quick.named_modules() if isinstance(module, NORMS)]
    # ECO's 3D network normalizes before its convolutions: sums and activations stand between.
    assert (left == []) != name.startswith("eco")


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("name", ["stm_resnet18", "stm_resnet50"])
def test_every_variant_keeps_its_logits(name: str, options: dict[str, object]) -> None:
    quick = assert_same_logits(trained(name, **options))
    assert not any(isinstance(module, NORMS) for module in quick.modules())


def test_the_given_model_is_left_untouched() -> None:
    model = trained("stm_resnet18").train()
    before = copy.deepcopy(model.state_dict())
    kinds = [type(module) for module in model.modules()]
    optimize(model, dtype=torch.bfloat16)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())
    assert kinds == [type(module) for module in model.modules()]


def test_it_is_for_inference() -> None:
    quick = optimize(trained("tsn_resnet18").train())
    assert not any(module.training for module in quick.modules())
    assert not quick(clips()).requires_grad
    for module in quick.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.bfloat16, "fast"])
def test_another_dtype_stays_near_and_gives_float32(dtype: torch.dtype) -> None:
    model = trained("stm_resnet18")
    quick = optimize(model, dtype=dtype)
    wanted = fast_dtype(torch.device("cpu")) if dtype == "fast" else dtype
    assert {parameter.dtype for parameter in quick.parameters()} == {wanted}
    expected = model(clips())
    logits = quick(clips())
    assert logits.dtype == torch.float32
    assert (logits - expected).abs().max() < 0.05 * expected.abs().max()


def test_a_cpu_without_bfloat16_instructions_keeps_to_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for capabilities, dtype in (
        ({"avx2": True}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert fast_dtype(torch.device("cpu")) == dtype


def test_a_batch_norm_without_its_convolution_stays() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU()).eval()
    nn.init.normal_(model[2].bias)
    quick = optimize(model, dtype=torch.float64)
    points = torch.randn(3, 6)
    torch.testing.assert_close(quick(points), model(points))
    assert optimize(nn.ReLU())(torch.tensor([-1.0])).item() == 0


@pytest.fixture(scope="module")
def compiled() -> tuple[nn.Module, Tensor, Tensor]:
    """A compiled network, its logits, and those of the plain one."""
    model = trained("stm_resnet18")
    quick = optimize(model, compile=True)
    # A pool of processes would import torch once for each, and there is one graph to compile.
    with inductor_config.patch(compile_threads=1):
        return quick, quick(clips()), model(clips()).detach()


@pytest.mark.slow
def test_compiled_it_keeps_its_logits(compiled: tuple[nn.Module, Tensor, Tensor]) -> None:
    _, logits, expected = compiled
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_compiled_its_weights_are_constants(compiled: tuple[nn.Module, Tensor, Tensor]) -> None:
    """Seen from outside: what the compiler has laid anew for the CPU's kernels is its own."""
    quick, logits, _ = compiled
    for module in quick.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and module.groups == 1:
            module.weight.data.zero_()
    torch.testing.assert_close(quick(clips()), logits, rtol=0, atol=0)


def test_what_cannot_be_meant_is_an_error() -> None:
    network = optimize(trained("tsn_resnet18"))
    with pytest.raises(TypeError, match="already optimized"):
        optimize(network)
    with pytest.raises(ValueError, match="dtype is 'float16'. Give 'fast' or a torch.dtype"):
        optimize(trained("tsn_resnet18"), dtype="float16")  # type: ignore[arg-type]


def test_it_is_a_public_name() -> None:
    assert stmnet.optimize is optimize
    assert "optimize" in stmnet.__all__

"""The one Lightning module: a network, its loss, its learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from stmnet.data.clip_datasets import Batch
from stmnet.data.loaders import TrainingLoader
from stmnet.data.sampling import seed_of
from stmnet.errors import CheckpointError, StmnetError, VideoError
from stmnet.recognizer import METADATA_KEY, ModelConfig
from stmnet.runs.recipe import OptimizerRecipe
from stmnet.training.distributed import (
    broadcast_from_rank_zero,
    gather_all,
    rank_zero_logger,
    world_size,
)
from stmnet.training.losses import ClassificationObjective
from stmnet.training.parameter_groups import parameter_groups
from stmnet.training.running_means import RunningMeans

logger = rank_zero_logger(__name__)


def learning_rate_factor(epoch: float, optimizer: OptimizerRecipe) -> float:
    """By what the learning rate is multiplied at `epoch`, which counts on through its batches."""
    warmup = optimizer.warmup_length
    if epoch < warmup:
        return epoch / warmup
    if optimizer.schedule == "steps":
        return float(0.1 ** sum(epoch >= milestone for milestone in optimizer.milestones))
    progress = (epoch - warmup) / (optimizer.epochs - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class ActionModule(LightningModule):
    """Trains `network` by an objective.

    The config travels in every checkpoint, and so does the run's `description`.

    Of two views a clip (Twins Training) the network sees one batch of twice the size, and the
    objective compares its halves; of one view this is plain training.
    """

    def __init__(
        self,
        network: nn.Module,
        config: ModelConfig,
        optimizer: OptimizerRecipe,
        *,
        objective: ClassificationObjective,
        learning_rate: float,
        training_loader: TrainingLoader,
        max_unreadable: int,
        seed: int,
        description: dict[str, Any],
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.optimizer_recipe = optimizer
        self.objective = objective
        self.validation_objective = ClassificationObjective()
        self.learning_rate = learning_rate
        self.training_loader = training_loader
        self.max_unreadable = max_unreadable
        # By split and by the clips' numbers in its list: their files may be moved.
        self.unreadable: dict[str, dict[int, str]] = {"train": {}, "validation": {}}
        self._warnings: set[str] = set()
        self.last_shown: dict[str, Tensor] = {}
        self.training_means = RunningMeans()
        self.validation_means = RunningMeans()
        self.seed = seed
        self.description = description

    def forward(self, clips: Tensor, colors: Tensor | None = None) -> Tensor:
        """(N, T, 3, H, W) uint8, in training with the `colors` of the batch -> logits (N, K)."""
        return self.network(self.config.preprocessing.normalize(clips, colors))

    def score_views(self, batch: Batch) -> Tensor:
        """Logits (V, N, K) of the V views of the batch's N clips, by one forward of all."""
        frames, colors = batch.frames, batch.colors
        if len(frames) == 0:
            return self._no_logits()
        if frames.ndim == 5:
            return self(frames, colors).unsqueeze(0)
        num_views = frames.shape[1]
        # (N, V, ...) -> (V * N, ...): the clips of a view stay together.
        frames = frames.transpose(0, 1).flatten(0, 1)
        colors = None if colors is None else colors.transpose(0, 1).flatten(0, 1)
        return self(frames, colors).unflatten(0, (num_views, -1))

    def _no_logits(self) -> Tensor:
        """Logits (V, 0, K) made of every parameter, for whose gradients other ranks wait."""
        num_views = self.training_loader.num_views if self.training else 1
        if any(isinstance(module, nn.SyncBatchNorm) for module in self.modules()):
            # Their batch norms wait for this rank's too: a black clip, which no loss is of.
            preprocessing = self.config.preprocessing
            size = preprocessing.crop_size
            shape = (1, preprocessing.num_frames, 3, size, size)
            logits = self(torch.zeros(shape, dtype=torch.uint8, device=self.device))
            return logits[:0].expand(num_views, 0, -1)
        nothing = torch.stack([(parameter * 0).sum() for parameter in self.parameters()]).sum()
        return nothing.expand(num_views, 0, len(self.config.label_names))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        self._report_clips("train", batch)
        losses = self.objective(self.score_views(batch), batch.labels)
        self.training_means.add(losses.num_clips, **losses.shown())
        self.last_shown = losses.shown()
        return losses.loss

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        # The batch in hand counts as done: checkpoints are written after its step, never before.
        self.training_loader.num_batches_trained = batch_index + 1
        # Dropout draws the same in a resumed run, and on each rank something else.
        torch.manual_seed(seed_of(self.seed, self.current_epoch, batch_index, self.global_rank))

    def on_validation_start(self) -> None:
        # Before a checkpoint is written of weights that nothing can be learned from any more.
        if not all(parameter.isfinite().all() for parameter in self.parameters()):
            raise StmnetError(
                f"training diverged in epoch {self.current_epoch + 1}: weights are NaN or infinite."
                " Lower optimizer.learning_rate or optimizer.clip_gradient_norm, and set another "
                "output."
            )
        # Since the last step's forward, each rank has moved its batch norms by its own clips.
        broadcast_from_rank_zero(self.network.buffers())

    def on_validation_epoch_start(self) -> None:
        self.validation_means.reset()

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        self._report_clips("validation", batch)
        losses = self.validation_objective(self.score_views(batch), batch.labels)
        self.validation_means.add(losses.num_clips, **losses.shown())

    def on_validation_epoch_end(self) -> None:
        for split, means in (("train", self.training_means), ("validation", self.validation_means)):
            if not means.num_clips:
                first = min(self.unreadable[split].items())[1]
                raise VideoError(f"no clip of the {split} list could be read. The first: {first}")
        # By this the best checkpoint is chosen; all ranks have the same mean.
        self.log("validation_top1", self.validation_means.compute()["top1"], logger=False)

    def _report_clips(self, split: str, batch: Batch) -> None:
        """Warn once of what is wrong with a clip, and count those that cannot be read."""
        unreadable, remarks = list(batch.unreadable.items()), list(batch.remarks)
        if world_size() > 1 and self.trainer.strategy.reduce_boolean_decision(
            bool(unreadable or remarks), all=False
        ):
            unreadable, remarks = gather_all(unreadable), gather_all(remarks)
        for remark in remarks:
            self._warn_once(remark)
        known = self.unreadable[split]
        for number, message in unreadable:
            if number in known:
                continue
            known[number] = message
            num_unreadable = sum(map(len, self.unreadable.values()))
            if num_unreadable > self.max_unreadable:
                raise VideoError(
                    f"{message} This is unreadable clip number {num_unreadable}, and "
                    f"data.max_unreadable is {self.max_unreadable}."
                )
            self._warn_once(f"left out {message}")

    def _warn_once(self, line: str) -> None:
        if line not in self._warnings:
            self._warnings.add(line)
            logger.warning(line)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        recipe = self.optimizer_recipe
        optimizer = SGD(
            parameter_groups(self.network, recipe, self.learning_rate),
            lr=self.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            # One operator for all parameters; with a GPU, Lightning's gradient scaling refuses it.
            fused=self.device.type == "cpu",
        )
        steps_an_epoch = len(self.training_loader) // recipe.accumulate
        scheduler = LambdaLR(
            optimizer, lambda step: learning_rate_factor(step / steps_an_epoch, recipe)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[METADATA_KEY] = self.config.to_dict()
        checkpoint["run"] = self.description
        checkpoint["training_loader"] = self.training_loader.state_dict()
        checkpoint["training_means"] = self.training_means.state_dict()
        checkpoint["unreadable"] = self.unreadable

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        found = checkpoint.get(METADATA_KEY, {})
        for key, value in self.config.to_dict().items():
            if found.get(key) != value:
                raise CheckpointError(
                    f"the checkpoint to resume is of another run: its {key} is "
                    f"{found.get(key)!r:.80}, and here {value!r:.80}. Set another output."
                )
        # Lightning would load the loader's place too, but after an epoch's end too late or never.
        self.training_loader.load_state_dict(checkpoint["training_loader"])
        self.training_means.load_state_dict(checkpoint["training_means"])
        self.unreadable = checkpoint["unreadable"]

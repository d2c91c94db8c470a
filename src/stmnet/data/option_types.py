"""What a recipe chooses by name. Without torch, so that a recipe is read at once."""

from __future__ import annotations

from typing import Literal

Sampling = Literal["segments", "segments_without_tail", "dense"]
"""How the frames of a training clip are drawn (`stmnet.data.sampling.SAMPLINGS`)."""

Crop = Literal["multi_scale", "scale_jitter"]
"""How a training clip is cropped (`stmnet.data.augmentation.Augmentation`)."""

NumCropPositions = Literal[5, 13]
"""Where a multi-scale crop may lie (`stmnet.data.crops.crop_positions`)."""

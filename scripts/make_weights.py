"""Make what comes with the package: the small STM's weights, and one sample clip a class.

    make weights

The sample clips come from a seed that neither training nor testing has seen. Prints the accuracy
on the test split of the weights' own motion set, and how many sample clips are recognized.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from stmnet.cli.generate import generate_with_progress
from stmnet.evaluation.evaluate import evaluate_checkpoint
from stmnet.models.weight_files import RUN_WEIGHTS
from stmnet.motion.classes import LABEL_NAMES
from stmnet.motion.clips import FPS, render_clip, write_video
from stmnet.motion.generate import SplitSizes
from stmnet.recognizer import load
from stmnet.runs.recipe import load_recipe
from stmnet.training.run import train

ROOT = Path(__file__).parents[1]
DATA_SEED = 1000
SAMPLE_SEED = 2_000_000


def main() -> None:
    recipe = load_recipe(ROOT / "recipes" / "motion_weights.yaml")
    generate_with_progress(
        Path(recipe.data.root), seed=DATA_SEED, clips_per_class=SplitSizes(train=240)
    )
    run = train(recipe)
    packaged = ROOT / "src" / "stmnet" / "weights" / "motion.safetensors"
    packaged.parent.mkdir(exist_ok=True)
    shutil.copyfile(run / RUN_WEIGHTS, packaged)
    print(f"top-1 on the test split: {evaluate_checkpoint(run).metrics.top1:.1%}")

    recognizer = load("motion")
    num_right = 0
    for label, name in enumerate(LABEL_NAMES):
        sample = ROOT / "samples" / f"{name.lower().replace(' ', '_')}.mp4"
        write_video(sample, render_clip(label, seed=(SAMPLE_SEED, label)), fps=FPS)
        num_right += recognizer(sample).label == name
    print(f"sample clips recognized: {num_right} of {len(LABEL_NAMES)}")


if __name__ == "__main__":
    main()

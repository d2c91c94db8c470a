"""`stmnet VERB`: one function a verb, and no logic. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stmnet import __version__
from stmnet.cli.printing import print_any_name, print_json, print_table
from stmnet.errors import DatasetError, StmnetError, Stopped, in_one_line
from stmnet.memory import keep_freed_memory

if TYPE_CHECKING:
    from stmnet.recognizer import Prediction

USER_ERROR = 2
DTYPES = ("float32", "fast")
DTYPE_HELP = "fast: bfloat16 or float16 where the machine is good at it (default float32)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for what the user can mend, else 1."""
    parser = make_parser()
    arguments, overrides = parser.parse_known_args(argv)
    if overrides and arguments.verb != "train":
        parser.error(f"unrecognized arguments: {' '.join(overrides)}")
    arguments.overrides = overrides
    keep_freed_memory()
    print_any_name()
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except StmnetError as error:
        if arguments.debug:
            raise
        return complain(str(error), USER_ERROR)
    except Stopped as stop:
        return complain(str(stop), 128 + stop.signal_number)
    except KeyboardInterrupt:
        return complain("stopped by Ctrl-C", 130)
    except Exception as error:
        if arguments.debug:
            raise
        reason = in_one_line(error)
        return complain(f"{type(error).__name__}: {reason} (--debug shows where)", 1)
    return code


def complain(message: str, code: int) -> int:
    """Say on stderr, in one line, what went wrong."""
    print(f"stmnet: {' '.join(message.split())}", file=sys.stderr)
    return code


def at_least(least: int) -> Callable[[str], int]:
    """Reads a whole number that is not less."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if number < least:
            raise argparse.ArgumentTypeError(f"{number} is less than {least}")
        return number

    return parse


def make_parser() -> argparse.ArgumentParser:
    """All verbs with their options."""
    parser = argparse.ArgumentParser(
        prog="stmnet",
        description="Recognize actions in video with STM, a 2D network.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"stmnet {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show a traceback on errors")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, run: Any, help: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name,
            parents=[common],
            help=help,
            description=help,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    added = verb("predict", predict, "Recognize the action in videos.")
    added.add_argument(
        "videos",
        nargs="*",
        type=Path,
        help="video files, or folders of them; none: the sample clips that come with stmnet",
    )
    added.add_argument("--model", default="motion", help="a name, a checkpoint, or a run's folder")
    added.add_argument(
        "--top", type=at_least(1), default=3, metavar="K", help="how many labels to show"
    )
    added.add_argument("--dtype", choices=DTYPES, default="float32", help=DTYPE_HELP)
    added.add_argument("--json", action="store_true", help="print one JSON object")

    added = verb("train", train, "Train a network by a recipe.")
    added.add_argument("recipe", type=Path, help="a YAML file; see recipes/")
    added.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    added.usage = "stmnet train RECIPE [--resume] [--KEY VALUE ...]"
    added.epilog = "Every key of a recipe can be set here, as in --optimizer.epochs 10."

    added = verb("test", test, "Test checkpoints on a data set and write a report page.")
    added.add_argument(
        "checkpoints",
        nargs="+",
        type=Path,
        metavar="CHECKPOINT",
        help="a run's folder, or a checkpoint in it; of several (as of three splits) the mean, too",
    )
    added.add_argument(
        "--views",
        default="center",
        metavar="V",
        help="center, 30 (the paper's ten random clips x three crops) or CLIPSxCROPS, as 10x1",
    )
    added.add_argument("--seed", type=int, default=0, help="of the random clips (default 0)")
    added.add_argument("--dataset", help="default: the one of the run's recipe")
    added.add_argument("--root", help="the data set's folder; default: the recipe's")
    added.add_argument("--split", default="test", help="default: test")
    added.add_argument(
        "--report",
        type=Path,
        help="default: report.html in the run's folder, report-NAME.html of a checkpoint in it",
    )
    added.add_argument(
        "--scores",
        type=Path,
        metavar="FILE",
        help="where the views' scores are kept; default: in the run's folder",
    )
    added.add_argument("--shard", metavar="K/N", help="score only part K of N that share FILE")
    added.add_argument("--batch-size", type=int, default=16, metavar="N", help="views (default 16)")
    added.add_argument(
        "--num-workers", type=int, metavar="N", help="default: 2, with a GPU up to 8"
    )
    added.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    added.add_argument("--dtype", choices=DTYPES, default="float32", help=DTYPE_HELP)
    added.add_argument("--json", action="store_true", help="print one JSON object")

    added = verb("prepare", prepare, "Make a data set small and quick to read.")
    added.add_argument("dataset", help="a name, as something_v2; motion: generate the motion set")
    added.add_argument("--root", type=Path, help="the data set's folder, which stays as it is")
    added.add_argument("--out", type=Path, required=True, help="the folder to write")
    added.add_argument("--short-side", type=int, metavar="PIXELS", help="default 256")
    added.add_argument("--key-frame-interval", type=int, metavar="N", help="default: 6, in WebM 16")
    added.add_argument("--processes", type=int, metavar="N", help="default: one for each CPU")
    added.add_argument("--dry-run", action="store_true", help="only say what it will take")
    added.add_argument("--seed", type=at_least(0), default=0, help="of the motion set")
    added.add_argument("--train", type=at_least(1), default=180, help="clips a class (default 180)")
    added.add_argument("--validation", type=at_least(1), default=10, help="as --train (default 10)")
    added.add_argument("--test", type=at_least(1), default=50, help="as --train (default 50)")

    added = verb("check", check, "Check a data set: counts, missing and damaged videos.")
    added.add_argument("dataset", help="motion, something_v2, kinetics400, folder, ...")
    added.add_argument("--root", type=Path, required=True, help="the data set's folder")
    added.add_argument("--split", nargs="+", help="default: all that are published")
    added.add_argument("--decode", action="store_true", help="decode every frame (slow)")
    added.add_argument(
        "--num-frames",
        type=at_least(1),
        default=8,
        metavar="T",
        help="fewer are too short (default 8)",
    )
    added.add_argument("--processes", type=at_least(1), help="default: one for each CPU")
    added.add_argument("--exclusions", type=Path, metavar="FILE", help="write what to leave out")
    added.add_argument("--json", action="store_true", help="print one JSON object")

    added = verb("complexity", complexity, "Count parameters, MACs and memory of a network.")
    added.add_argument("model", nargs="?", metavar="MODEL", help="a name, as stm_resnet50")
    added.add_argument("--table", type=int, choices=(4, 10), help="the paper's, beside our counts")
    added.add_argument("--num-classes", type=int, metavar="K", help="default 174")
    added.add_argument("--frames", type=int, metavar="T", help="of a clip (default 8)")
    added.add_argument("--size", type=int, metavar="PIXELS", help="of a frame (default 224)")
    added.add_argument(
        "--option", action="append", metavar="NAME=VALUE", help="of the network, as modules=cstm"
    )
    added.add_argument(
        "--modules",
        type=at_least(1),
        nargs="?",
        const=2,
        metavar="DEPTH",
        help="its parts (default: 2)",
    )
    added.add_argument("--json", action="store_true", help="print one JSON object")

    added = verb("bench", bench, "Measure how fast networks are beside each other.")
    added.add_argument("models", nargs="+", metavar="MODEL", help="names; ratios are to the first")
    added.add_argument("--batch", type=int, default=1, metavar="N", help="clips (default 1)")
    added.add_argument("--frames", type=int, default=8, metavar="T", help="of a clip (default 8)")
    added.add_argument("--size", type=int, default=224, metavar="PIXELS", help="default 224")
    added.add_argument("--num-classes", type=int, default=174, metavar="K", help="default 174")
    added.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    added.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    added.add_argument("--compiled", action="store_true", help="with torch.compile (a minute each)")
    added.add_argument("--optimized", action="store_true", help="by stmnet.optimize")
    added.add_argument("--rounds", type=int, default=10, metavar="N", help="default 10")
    added.add_argument("--threads", type=int, metavar="N", help="default: torch's own")
    added.add_argument("--json", action="store_true", help="print one JSON object")

    added = verb("demo", demo, "See STM read motion where a network without time cannot.")
    added.add_argument("--out", type=Path, default=Path("demo"), help="the folder to write")
    added.add_argument("--seed", type=at_least(0), default=0)
    return parser


def predict(arguments: argparse.Namespace) -> int:
    """`stmnet predict VIDEO...`: a table, or one JSON object."""
    from stmnet.cli.predictions_table import prediction_as_json, predictions_as_table
    from stmnet.files import packaged_file
    from stmnet.recognizer import load
    from stmnet.video.frames import find_videos

    videos = find_videos(arguments.videos or [packaged_file("samples")])
    recognizer = load(arguments.model, dtype=arguments.dtype)
    predictions: list[Prediction] = []
    errors: dict[str, str] = {}
    for video in videos:
        try:
            predictions.append(recognizer(video, top_k=arguments.top))
        except StmnetError as error:
            errors[str(video)] = str(error)
            complain(str(error), USER_ERROR)
            continue
        for warning in predictions[-1].warnings:
            complain(f"warning: {warning}", 0)
    if arguments.json:
        print_json(
            {
                "model": arguments.model,
                "dtype": arguments.dtype,
                "predictions": list(map(prediction_as_json, predictions)),
                "errors": errors,
            }
        )
    elif predictions:
        print_table(predictions_as_table(predictions))
    return USER_ERROR if errors else 0


def train(arguments: argparse.Namespace) -> int:
    """`stmnet train RECIPE`."""
    from stmnet.runs.recipe import load_recipe

    recipe = load_recipe(arguments.recipe, arguments.overrides)

    from stmnet.models.weights import RUN_WEIGHTS
    from stmnet.report.validation_report import write_validation_report
    from stmnet.training.distributed import is_rank_zero, say
    from stmnet.training.run import train as run

    output = run(recipe, resume=arguments.resume)
    say(f"weights  {output / RUN_WEIGHTS}")
    if is_rank_zero():
        try:
            say(f"report   {write_validation_report(output)}")
        except StmnetError as error:  # the weights are there, and worth more than their page
            print(f"warning: no report: {error}", file=sys.stderr)
    return 0


def test(arguments: argparse.Namespace) -> int:
    """`stmnet test CHECKPOINT...`: tables and a page, or one JSON object."""
    from stmnet.cli.testing_table import checkpoints_in_words
    from stmnet.evaluation.evaluate import EvaluationOptions
    from stmnet.evaluation.kept_scores import WHOLE, Shard

    table, plain = checkpoints_in_words(
        arguments.checkpoints,
        EvaluationOptions(
            views=arguments.views,
            seed=arguments.seed,
            dataset=arguments.dataset,
            root=arguments.root,
            split=arguments.split,
            report=arguments.report,
            scores=arguments.scores,
            batch_size=arguments.batch_size,
            num_workers=arguments.num_workers,
            device=arguments.device,
            dtype=arguments.dtype,
        ),
        Shard.parse(arguments.shard) if arguments.shard else WHOLE,
    )
    if arguments.json:
        print_json(plain)
    else:
        print_table(table)
    return 0


def prepare(arguments: argparse.Namespace) -> int:
    """`stmnet prepare DATASET --root IN --out OUT`, and without a root the motion set."""
    if arguments.root is None:
        return prepare_motion(arguments)

    from stmnet.cli.prepare_words import estimate_in_words, prepare_in_words
    from stmnet.video.transcode import Shape

    short_side = Shape.short_side if arguments.short_side is None else arguments.short_side
    told = (estimate_in_words if arguments.dry_run else prepare_in_words)(
        arguments.dataset,
        arguments.root,
        arguments.out,
        shape=Shape(short_side, arguments.key_frame_interval),
        processes=arguments.processes,
    )
    for line in told.lines:
        print(line)
    return complain(told.complaint, told.exit_code) if told.complaint else told.exit_code


def prepare_motion(arguments: argparse.Namespace) -> int:
    """`stmnet prepare motion --out DIR` generates the motion set."""
    if arguments.dataset != "motion":
        raise DatasetError(
            f"{arguments.dataset}: only the motion set is made from nothing. "
            "Give the folder of this one with --root."
        )
    given = {
        "--dry-run": arguments.dry_run or None,
        "--short-side": arguments.short_side,
        "--key-frame-interval": arguments.key_frame_interval,
        "--processes": arguments.processes,
    }
    if meant := [option for option, value in given.items() if value is not None]:
        raise DatasetError(
            f"{', '.join(meant)}: of no meaning where the motion set is generated. "
            "Leave it out, or give the folder of one with --root."
        )

    from stmnet.cli.demo import generate_with_progress
    from stmnet.motion.generate import SplitSizes

    sizes = SplitSizes(arguments.train, arguments.validation, arguments.test)
    generate_with_progress(arguments.out, seed=arguments.seed, clips_per_class=sizes)
    print(f"data  {arguments.out}")
    return 0


def check(arguments: argparse.Namespace) -> int:
    """`stmnet check DATASET --root DIR`: a table, or one JSON object; 1 if anything is wrong."""
    from stmnet.cli.check_table import as_table, check_with_progress
    from stmnet.datasets.exclusions import require_exclusions_or_none

    if arguments.exclusions is not None:  # before hours of reading
        require_exclusions_or_none(arguments.exclusions)
    report = check_with_progress(
        arguments.dataset,
        arguments.root,
        splits=arguments.split,
        decode=arguments.decode,
        num_frames=arguments.num_frames,
        processes=arguments.processes,
    )
    if arguments.exclusions is not None:
        num_clips = report.write_exclusions(arguments.exclusions)
        print(f"{num_clips} clips to leave out are in {arguments.exclusions}", file=sys.stderr)
    if arguments.json:
        print_json(report.to_json())
    else:
        print_table(as_table(report))
    return 0 if report.is_well else 1


def complexity(arguments: argparse.Namespace) -> int:
    """`stmnet complexity MODEL`, or `--table N`: a table, or one JSON object."""
    from stmnet.cli.complexity_table import count_in_words, paper_in_words

    if arguments.table is None:
        told = count_in_words(
            arguments.model,
            num_classes=arguments.num_classes,
            num_frames=arguments.frames,
            size=arguments.size,
            options=arguments.option,
            depth=arguments.modules,
        )
    else:
        names = ("model", "num_classes", "frames", "size", "option", "modules")
        given = [name for name in names if getattr(arguments, name) is not None]
        told = paper_in_words(arguments.table, given=given)
    if arguments.json:
        print_json(told.json)
    else:
        print_table(told.table)
    return 0


def bench(arguments: argparse.Namespace) -> int:
    """`stmnet bench MODEL...`: a table, or one JSON object."""
    from stmnet.profiling.bench import Mode, Shape, bench_in_words

    table, plain = bench_in_words(
        arguments.models,
        Mode(arguments.device, arguments.dtype, arguments.compiled, arguments.optimized),
        Shape(arguments.batch, arguments.size, arguments.num_classes),
        frames=arguments.frames,
        rounds=arguments.rounds,
        threads=arguments.threads,
    )
    if arguments.json:
        print_json(plain)
    else:
        print_table(table)
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """`stmnet demo`: the two accuracies and the page's path come last."""
    from stmnet.cli.demo import run_demo

    outcome = run_demo(arguments.out, seed=arguments.seed)
    for name, top1 in outcome.top1.items():
        print(f"{name} top-1  {top1:.1%}")
    print(f"page       {outcome.page.resolve()}")
    return 0

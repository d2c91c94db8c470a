"""The report page: what it shows, in a browser too, and what it refuses."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import io
import math
import re
import shutil
from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from PIL import Image

from stmnet.analysis.feature_maps import FeatureExample
from stmnet.datasets.clip_list import Clip
from stmnet.errors import StmnetError
from stmnet.evaluation.results import ModelResult
from stmnet.report.contents import ReportContents
from stmnet.report.headline import state_finding
from stmnet.report.page import MAX_CLASSES_LISTED, write_report
from stmnet.runs.history import EpochRecord
from tests.conftest import decode_all

CHROMIUM = shutil.which("chromium")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
LABELS = (
    "Moving something left",
    "Opening something",
    "Moving something right",
    "Closing something",
    "Something approaching the camera",
    "Something receding from the camera",
)
REVERSED = (2, 3, 0, 1, 5, 4)
NUM_CLIPS = 60


def write_video(path, num_frames=10):
    """A bright square that moves to the right over a gray ground."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for step in range(num_frames):
            image = np.full((72, 96, 3), 70, np.uint8)
            image[24:48, 6 * step : 6 * step + 24] = (250, 180, 60)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def scores(predictions, num_classes):
    """Probabilities with the highest at the predictions, surer from clip to clip."""
    num_clips = len(predictions)
    sureness = torch.linspace(2, 5, num_clips)
    logits = torch.zeros(num_clips, num_classes)
    logits[torch.arange(num_clips), torch.tensor(predictions)] = sureness
    return logits.softmax(dim=1)


def history(num_epochs=5):
    return tuple(
        EpochRecord(epoch, 2 / epoch, 1 - 1 / (epoch + 1), 2.1 / epoch, 0.9 - 0.8 / (epoch + 1))
        for epoch in range(1, num_epochs + 1)
    )


def example(clip):
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(256, (8, 3, 64, 64), dtype=torch.uint8, generator=generator)
    cmm = torch.rand(8, 16, 16, generator=generator)
    cmm[-1] = 0
    cstm = torch.rand(8, 16, 16, generator=generator)
    return FeatureExample(clip, LABELS[0], frames, cstm, cmm)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """STM errs on 2 of 60 clips, TSN takes every second clip for its reversal."""
    folder = tmp_path_factory.mktemp("videos")
    videos = tuple(folder / f"clip_{clip:02d}.mp4" for clip in range(NUM_CLIPS))
    for video in videos:
        write_video(video)
    targets = [clip % len(LABELS) for clip in range(NUM_CLIPS)]
    clips = tuple(map(Clip, videos, targets))
    stm = [REVERSED[label] if clip in (7, 40) else label for clip, label in enumerate(targets)]
    tsn = [
        REVERSED[label] if clip // len(LABELS) % 2 else label for clip, label in enumerate(targets)
    ]
    return ReportContents(
        title="Does the order of frames matter?",
        dataset="Motion set",
        label_names=LABELS,
        clips=clips,
        results=(
            ModelResult(
                "STM", "stm_resnet18", 11_372_000, scores(stm, 6), torch.tensor(targets), history()
            ),
            ModelResult(
                "TSN",
                "tsn_resnet18",
                11_182_000,
                scores(tsn, 6),
                torch.tensor(targets),
                history(),
                3725.0,
            ),
        ),
        feature_examples=(example(clips[0]), example(clips[1])),
        facts={"seed": "0", "command": "stmnet test runs/stm --report report.html"},
    )


def page_of(report, tmp_path):
    return write_report(report, tmp_path / "report.html").read_text(encoding="utf-8")


def with_videos(report, videos):
    """The report with other videos at these places."""
    clips = list(report.clips)
    for place, video in videos.items():
        clips[place] = replace(clips[place], video=video)
    return replace(report, clips=tuple(clips))


def with_classes(report, num_classes, num_clips):
    """A report of one network that is right about every clip but the first of each class."""
    targets = [clip % num_classes for clip in range(num_clips)]
    predictions = [
        (label + 1) % num_classes if clip < num_classes else label
        for clip, label in enumerate(targets)
    ]
    result = replace(
        report.results[0],
        probabilities=scores(predictions, num_classes),
        targets=torch.tensor(targets),
    )
    return replace(
        report,
        label_names=tuple(f"class {label}" for label in range(num_classes)),
        clips=tuple(report.clips[clip % NUM_CLIPS] for clip in range(num_clips)),
        results=(result,),
        feature_examples=(),
    )


@contextlib.contextmanager
def opened(path, width, scheme="light"):
    """The page in headless Chromium, with all that the browser complained of or asked for."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        complaints, addresses = [], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("request", lambda request: addresses.append(request.url))
        page.goto(path.as_uri(), wait_until="load")
        yield page, complaints, addresses
        browser.close()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (1280, "dark")])
def test_page_in_a_browser(report, tmp_path, width, scheme):
    path = write_report(report, tmp_path / "report.html")
    with opened(path, width, scheme) as (page, complaints, addresses):

        def count(selector):
            return page.locator(selector).count()

        images = page.evaluate(
            "[...document.images].map(i => [i.complete && i.naturalWidth > 0, i.alt])"
        )
        assert all(loaded and alt for loaded, alt in images)
        num_mistakes = 2 + 6  # STM has two, TSN shows its first six
        assert len(images) == 8 * num_mistakes + 2 * 3 * 8
        assert count("#mistakes .strip") == num_mistakes
        assert count("#features .feature") == 2

        assert count("#headline tbody tr") == 2
        assert count("#confusion .matrix") == 2
        assert count("#confusion .matrix tbody td") == 2 * 6 * 6
        assert count("#confusion .pairs tbody tr") == 3
        assert count("#classes tbody tr") == 6
        assert count("#classes tbody .mark") == 2 * 6
        assert count("#learning svg") == 2
        assert count("#facts dt") == 2

        top1 = page.locator("[data-value=top1]").all_inner_texts()
        mean = page.locator("[data-value=mean_class_accuracy]").all_inner_texts()
        assert [number_in(text) for text in top1] == [96.7, 50.0]  # 58 and 30 of 60 clips
        assert [number_in(text) for text in mean] == [96.7, 50.0]  # ten clips in every class
        diagonal = page.locator(".matrix").first.locator("td.right").all_inner_texts()
        assert sum(map(int, diagonal)) == 58

        assert page.evaluate("document.documentElement.scrollWidth") <= width
        dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", dark))) < 3 * 128) == (scheme == "dark")
        assert complaints == []
        assert all(address.startswith(("file:", "data:")) for address in addresses)


@pytest.mark.slow
def test_long_names_and_many_classes_stay_within_a_phone(report, tmp_path):
    many = with_classes(report, 25, 50)
    long = tuple(f"Class{'ification' * 6}{label}" for label in range(25))
    facts = {"command" * 9: "stmnet" * 60}
    path = write_report(replace(many, label_names=long, facts=facts), tmp_path / "report.html")
    with opened(path, 390) as (page, complaints, _):
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert complaints == []


def number_in(text):
    return float(re.search(r"[\d.]+", text).group())


def test_finding_says_who_is_ahead_and_by_how_much(report):
    sentence = state_finding(report.results)
    assert sentence.startswith("STM is ahead: it gets 96.7")
    assert "The difference is 46.7 points" in sentence
    assert "TSN scores every frame on its own" in sentence
    assert state_finding(report.results[::-1]) == sentence


def test_finding_claims_no_more_than_the_numbers(report):
    stm, tsn = report.results
    one_better = stm.probabilities.clone()
    one_better[7] = torch.nn.functional.one_hot(stm.targets[7], 6).float()
    close = state_finding((stm, replace(stm, name="New", probabilities=one_better)))
    assert "too small to say that one is better" in close
    assert "ahead" not in close
    level = state_finding((stm, replace(stm, name="Twin")))
    assert "STM and Twin are level" in level
    alone = state_finding((tsn,))
    assert "TSN names the right class for 30 of 60 clips" in alone
    assert "16.7" in alone  # an even guess among six


def test_labels_titles_and_files_are_text_and_not_markup(report, tmp_path):
    attack = "<script>alert('x')</script>\" onload=\"alert(1)"
    names = (attack, *LABELS[1:])
    results = tuple(replace(result, name=attack) for result in report.results)
    video = report.clips[0].video.with_name("<img src=x onerror=alert(1)>")
    clips = tuple(replace(clip, video=video) for clip in report.clips)
    page = page_of(
        replace(
            report,
            title=attack,
            dataset=attack,
            label_names=names,
            clips=clips,
            results=results,
            facts={attack: attack},
        ),
        tmp_path,
    )
    assert "<script" not in page
    assert "<img src=x" not in page
    assert 'onload="' not in page
    assert "&lt;script&gt;alert(" in page


def test_page_asks_nothing_of_the_network_and_is_the_same_each_time(report, tmp_path):
    page = page_of(report, tmp_path)
    assert not re.findall(r"""(?:src|srcset|action)=["'](?!data:)|url\((?!#)|@import""", page)
    assert set(re.findall(r' href="([^"#])', page)) <= {"d"}  # the empty icon, data:,
    assert page_of(report, tmp_path) == page
    identifiers = re.findall(r'\sid="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_unreadable_video_is_named_with_the_reason(report, tmp_path):
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"not a video")
    missing = tmp_path / "missing.mp4"
    page = page_of(with_videos(report, {7: damaged, 40: missing}), tmp_path)  # STM's two mistakes
    assert page.count('class="problem"') >= 2
    assert "missing.mp4: no such file" in page
    assert "damaged.mp4: " in page


def test_clip_of_fewer_frames_than_the_strip_shows_each_once(report, tmp_path):
    short = tmp_path / "short.mp4"
    write_video(short, num_frames=3)
    page = page_of(with_videos(report, {7: short}), tmp_path)
    assert re.findall(r'alt="Frame (\d+) of short.mp4"', page)[:3] == ["0", "1", "2"]


def test_a_part_of_a_recording_shows_its_own_frames(report, tmp_path, make_video):
    recording = make_video("recording.mp4", num_frames=60)
    parts = {7: Clip(recording, 0, 20, 36), 40: Clip(recording, 0, 44)}  # STM's two mistakes
    clips = tuple(parts.get(place, clip) for place, clip in enumerate(report.clips))
    results = report.results[:1]
    page = page_of(replace(report, clips=clips, results=results, feature_examples=()), tmp_path)
    shown = re.findall(r'<img src="data:image/jpeg;base64,([^"]*)"[^>]*alt="Frame (\d+) of', page)
    # The surest mistake is the later one. Middles of eighths of 44 to 59 and of 20 to 35.
    assert [int(number) for _, number in shown] == [*range(45, 60, 2), *range(21, 36, 2)]
    all_frames = decode_all(recording).astype(int)
    for data, number in shown:
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        assert abs(all_frames - picture).mean(axis=(1, 2, 3)).argmin() == int(number)
    names = re.findall(r"<code>(recording.*?)</code>", page)
    assert names == ["recording.mp4, from frame 44 on", "recording.mp4, frames 20 to 35"]


def test_what_is_missing_is_said(report, tmp_path):
    targets = report.results[0].targets
    right = scores(targets.tolist(), 6)
    perfect = replace(report.results[0], probabilities=right, history=())
    page = page_of(replace(report, results=(perfect,), feature_examples=(), facts={}), tmp_path)
    assert "STM made no mistake." in page
    assert "No training history was recorded, so there are no learning curves." in page
    assert "No two classes were taken for each other." in page
    assert "not recorded" in page
    assert "its interval has no width" in page
    assert 'id="features"' not in page
    assert 'id="facts"' not in page
    assert 'class="big best"' not in page  # one network is not the best of anything


def test_a_class_without_clips_has_no_accuracy(report, tmp_path):
    targets = torch.zeros(NUM_CLIPS, dtype=torch.int64)
    results = tuple(replace(result, targets=targets) for result in report.results)
    page = page_of(replace(report, results=results), tmp_path)
    assert page.count("no clips in this split") == 5
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page)


def test_many_classes_fall_back_to_pairs_and_to_the_ends_of_the_list(report, tmp_path):
    assert '<table class="matrix' in page_of(with_classes(report, 30, 90), tmp_path)
    page = page_of(with_classes(report, 60, 180), tmp_path)
    assert '<table class="matrix' not in page
    assert "A matrix of 60 classes would be too small to read" in page
    assert page.count("⇄") == 20
    assert page.count('class="plot"') == MAX_CLASSES_LISTED
    assert page.count('class="after-gap"') == 1


@pytest.mark.parametrize(("num_classes", "has_counts"), [(20, True), (21, False)])
def test_cells_hold_counts_while_they_can_be_read(report, tmp_path, num_classes, has_counts):
    page = page_of(with_classes(report, num_classes, 3 * num_classes), tmp_path)
    assert (re.search(r'class="right[^>]*>2</td>', page) is not None) == has_counts


def test_scores_that_are_not_numbers_are_refused(report, tmp_path):
    broken = report.results[1].probabilities.clone()
    broken[3] = math.nan
    results = (report.results[0], replace(report.results[1], probabilities=broken))
    with pytest.raises(StmnetError, match="TSN: the scores of 1 of 60 clips are NaN or infinite"):
        write_report(replace(report, results=results), tmp_path / "report.html")


def test_parts_that_do_not_fit_together_are_refused(report, tmp_path):
    path = tmp_path / "report.html"
    with pytest.raises(ValueError, match="at least one network"):
        write_report(replace(report, results=()), path)
    with pytest.raises(ValueError, match=r"\(clips, labels\)"):
        write_report(replace(report, clips=report.clips[:-1]), path)
    other = replace(report.results[1], targets=report.results[1].targets.flip(0))
    with pytest.raises(ValueError, match="targets"):
        write_report(replace(report, results=(report.results[0], other)), path)


def test_a_failed_write_leaves_the_old_page_whole(report, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("the old page")

    def full_disk(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full_disk)
    with pytest.raises(StmnetError, match=r"report\.html: .*No space left on device"):
        write_report(report, path)
    assert path.read_text() == "the old page"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_cannot_be_written_is_named(report, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StmnetError, match=r"file/report\.html: .*Choose another path"):
        write_report(report, tmp_path / "file" / "report.html")
    with pytest.raises(StmnetError, match="Choose another path"):
        write_report(report, tmp_path)
    assert write_report(report, tmp_path / "new" / "folder" / "report.html").is_file()

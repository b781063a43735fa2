"""A prepared model measured on a folder of labelled images, through the service's own decode and preprocess."""

import csv
import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from app.errors import ModelError, ServiceError
from app.image.reader import Reader
from app.image.views import Pixels
from app.model.evaluation import Plan, average, plan_of
from app.model.files import disk_errors
from app.model.library import Library
from app.model.load import load_model
from app.model.looking import decide, look
from app.model.network import TorchNetwork
from app.model.registry import LoadedModel
from app.model.wish import USUAL, CannotEvaluate, Wish
from app.settings import Settings
from app.training.ahead import map_ahead
from app.training.classes import match_classes
from app.training.data import LabelledFile, Refused, list_images, read_exclusions
from app.training.lineage import Lineage, are_among, read_lineage
from app.training.looks import Look
from app.training.scores import Share, calibration_error, nll, reliability, top_share
from app.training.terminal import progress_bar

TOP = 5
MOST_PIXELS = 2**25  # of all views of an image: nobody else waits for this machine
COLUMNS = ("path", "class_index", "label", "right", "rank_of_right", "predicted_index", "predicted", "probability")


@dataclass(frozen=True, slots=True)
class Question:
    data: Path
    model: str
    ten_crop: bool
    exclude: Path | None
    batch_size: int | None
    workers: int
    wish: Wish = USUAL

    @property
    def asked(self) -> Wish:
        return Wish("multi_crop") if self.ten_crop else self.wish


@dataclass(frozen=True)
class Evaluation:
    """``logits`` are divided by the model's temperature: their softmax is what the service answers.

    ``seen`` counts the images, or copies of them, that the model was trained on ("train") or that chose
    something of it.
    """

    model: LoadedModel
    files: list[LabelledFile]
    refused: list[Refused]
    targets: Tensor
    logits: Tensor
    seconds: float
    seen: Counter[str] = field(default_factory=Counter)

    def top(self, k: int) -> Share:
        return top_share(self.logits, self.targets, k)

    def lines(self) -> list[str]:
        """For the terminal."""
        bins = reliability(torch.softmax(self.logits, 1), self.targets)
        lines = [f"top-1 {self.top(1)}"]
        if self.logits.shape[1] > TOP:
            lines.append(f"top-5 {self.top(TOP)}")
        lines.append(f"NLL {nll(self.logits, self.targets):.4f}, calibration error {calibration_error(bins):.4f}")
        speed = f"{len(self.files) / self.seconds:.1f} images/s"
        lines.append(f"{speed} on {self.model.device} in {self.model.precision}, decoding included")
        if trained := self.seen["train"]:
            lines.append(f"the model was trained on {trained} of these {len(self.files)} images: the figures flatter")
        if chose := self.seen.total() - self.seen["train"]:
            lines.append(f"{chose} of these images chose the model's epoch or fitted its temperature")
        if self.refused:
            first = self.refused[0]
            lines.append(f"files left out: {len(self.refused)}, such as {first.path}: {first.reason}")
        return lines

    def write_predictions(self, path: Path) -> None:
        """One row per image, with what was answered first and where the right class stands."""
        probabilities, predicted = torch.softmax(self.logits, 1).max(1)
        right = self.logits.gather(1, self.targets[:, None])
        ranks = (self.logits > right).sum(1) + 1
        labels = self.model.labels
        with disk_errors(path), path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for place, image in enumerate(self.files):
                target, answer = int(self.targets[place]), int(predicted[place])
                shown = (image.path, target, labels[target].label_en)
                answered = (answer, labels[answer].label_en, f"{float(probabilities[place]):.6f}")
                writer.writerow((*shown, int(target == answer), int(ranks[place]), *answered))


def evaluate(question: Question, settings: Settings) -> Evaluation:
    """Raises ``ModelError`` when the model cannot be loaded or does not know the folder's classes."""
    listing = list_images(question.data, read_exclusions(question.exclude))
    Library.from_settings(settings).require_prepared(question.model)
    model = load_model(question.model, settings)
    lineage = read_lineage(Library.from_settings(settings).store(question.model).folder)
    indices = match_classes(listing.classes, model.labels, f"Model {question.model!r}")
    began = time.perf_counter()
    found = list(_logits(question, model, listing.files, settings))
    seconds = time.perf_counter() - began
    images = [one for one, answer in zip(listing.files, found, strict=True) if isinstance(answer, Tensor)]
    refused = [one for one in found if isinstance(one, Refused)]
    logits = [one for one in found if isinstance(one, Tensor)]
    if not logits:
        raise ModelError(f"None of the {len(found)} images in {question.data} can be decoded.")
    targets = torch.tensor([indices[image.class_name] for image in images])
    seen = count_seen(lineage, question.data, images, Reader(settings.max_pixels, exact=True), question.workers)
    return Evaluation(model, images, [*listing.refused, *refused], targets, torch.stack(logits), seconds, seen)


def count_seen(
    lineage: Lineage, root: Path, images: Sequence[LabelledFile], reader: Reader, workers: int
) -> Counter[str]:
    """How many of the images, or of copies of them, had each part in making the model."""
    if not lineage.seen:
        return Counter()

    def look_at(file: LabelledFile) -> tuple[str, Look]:
        data = (root / file.path).read_bytes()
        return hashlib.sha256(data).hexdigest(), Look.of(reader.photograph(data))

    with progress_bar("Comparing with what the model has seen", len(images), "image") as bar:
        pictures = []
        for found in map_ahead(look_at, images, workers, 4 * workers):
            pictures.append(found)
            bar.update()
    taught = lineage.taught(pictures)
    chose = are_among(pictures, [one for one in lineage.seen if one.part != "train"])
    counts = {"train": sum(taught), "chose": sum(b and not a for a, b in zip(taught, chose, strict=True))}
    return Counter({part: count for part, count in counts.items() if count})


def _logits(
    question: Question, model: LoadedModel, images: Sequence[LabelledFile], settings: Settings
) -> Iterator[Tensor | Refused]:
    """Each image's logits (classes,), or why it has none, in order."""
    reader = Reader(settings.max_pixels, exact=settings.decode == "exact")
    wanted = _plan(question, model).wanted

    def load(file: LabelledFile) -> list[Pixels] | Refused:
        try:
            return reader.read_parts((question.data / file.path).read_bytes(), wanted, MOST_PIXELS).parts
        except ServiceError as error:
            return Refused(file.path, error.detail)

    size = question.batch_size or model.max_batch_size
    loaded = map_ahead(load, images, question.workers, 2 * size + question.workers)
    with progress_bar("Evaluating", len(images), "image") as bar:
        while group := list(islice(loaded, size)):
            yield from _answer(question.asked, model, group)
            bar.update(len(group))


def _plan(question: Question, model: LoadedModel) -> Plan:
    try:
        return plan_of(question.asked.evaluation_by(model), model)
    except CannotEvaluate as error:
        raise ModelError(str(error)) from error


def _answer(wish: Wish, model: LoadedModel, group: Sequence[list[Pixels] | Refused]) -> Iterator[Tensor | Refused]:
    """One forward for all images of a group where each has one view; of several the averaged softmax counts, as its
    logarithm."""
    given = [one for one in group if not isinstance(one, Refused)]
    if given and wish.is_usual:
        network = cast(TorchNetwork, model.network)
        scaled = network.logits(np.concatenate([square for (square,) in given])).cpu() / network.temperature
        answers = iter(torch.softmax(scaled, 1))
    else:
        answers = (_look(wish, model, parts) for parts in given)
    for one in group:
        yield one if isinstance(one, Refused) else next(answers).log()


def _look(wish: Wish, model: LoadedModel, parts: Sequence[Pixels]) -> Tensor:
    """The probability of every class (classes,)."""
    evaluation, chosen = decide(model, wish, parts)
    return torch.from_numpy(average(plan_of(evaluation, model), look(model, evaluation, chosen)))

"""DD-Ranking's own judgement of an export, on data made up here: python dd_ranking.py EXPORT

It runs in an environment of its own, without dreamlib. What it prints last is JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
from ddranking import metrics
from ddranking.metrics import hard_label, soft_label
from ddranking.utils import build_model, get_random_data_tensors
from torch.utils.data import Dataset

CLASSES, SIDE, EPOCHS = 10, 32, 20  # it tests after every 20th epoch, or every 10th
MODEL = "MLP"  # its smallest, of which it holds no settings for real images
REAL = {
    "optimizer": "sgd",
    "lr_scheduler": "step",
    "weight_decay": 0.0005,
    "momentum": 0.9,
    "num_epochs": EPOCHS,
    "lr": 0.01,
    "step_size": 100,
}


class Few(Dataset):
    """A few images, labelled by integers as torchvision's are."""

    def __init__(self, each: int) -> None:
        self.targets = [label for label in range(CLASSES) for _ in range(each)]
        self.images = torch.randn(len(self.targets), 3, SIDE, SIDE)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index], self.targets[index]


def few_images(dataset: str, *_: object) -> tuple[object, ...]:
    """In the place of its ``get_dataset``, which would download CIFAR-10."""
    assert dataset == "CIFAR10"
    same = {label: label for label in range(CLASSES)}
    return 3, (SIDE, SIDE), None, None, CLASSES, Few(6), Few(2), Few(2), same, same


def with_classes(dataset: str, images: Few, indices: list[list[int]], each: int, *more: object) -> object:
    return get_random_data_tensors(dataset, images, indices, each, {i: i for i in range(CLASSES)}, *more)


def main(export: Path) -> None:
    images, labels = (torch.load(export / f"{name}.pt", weights_only=True) for name in ("images", "labels"))
    rate = export / "lr.pt"
    lr = torch.load(rate, weights_only=True) if rate.exists() else 0.01
    scores: dict[str, list[float]] = {}
    soft_label.get_random_data_tensors = with_classes  # which it calls without its classes (0.2.0)
    for module in (hard_label, soft_label):
        # Its hard-label score is appended twice, which its own table of scores then refuses (0.2.0).
        module.save_results = lambda results, _: scores.update(results)
        module.get_dataset = few_images
        module.REAL_DATA_TRAINING_CONFIG[f"CIFAR10-{MODEL}"] = REAL
    with tempfile.TemporaryDirectory() as folder:
        teacher = Path(folder, "CIFAR10", MODEL, "ckpt_best.pt")
        teacher.parent.mkdir(parents=True)
        torch.save(build_model(MODEL, CLASSES, (SIDE, SIDE), device="cpu").state_dict(), teacher)
        options = {
            "dataset": "CIFAR10",
            "ipc": len(images) // CLASSES,
            "model_name": MODEL,
            "eval_full_data": True,
            "step_size": 150,
            "num_epochs": EPOCHS,
            "num_eval": 1,
            "num_workers": 0,
            "data_aug_func": None,
            "device": "cpu",
            "random_data_format": "tensor",
            "random_data_path": f"{folder}/random",
            "save_path": f"{folder}/scores/scores.csv",
        }
        if labels.is_floating_point():
            real = bool((labels > 0).any())  # logarithms of probabilities are not
            how = {"soft_label_criterion": "mse_gt" if real else "sce", "loss_fn_kwargs": {}}
            how |= {} if real else {"loss_fn_kwargs": {"temperature": 1.0}}
            how |= {"soft_label_mode": "S", "teacher_dir": folder, "teacher_model_names": [MODEL]}
            metric = metrics.LabelRobustScoreSoft(**options, **how)
            metric.teacher_model = metric.teacher_models[0]  # what labels its random images looks for (0.2.0)
            metric.compute_metrics(image_tensor=images, soft_labels=labels, syn_lr=lr)
        else:
            metric = metrics.LabelRobustScoreHard(**options)
            metric.compute_metrics(image_tensor=images, hard_labels=labels, syn_lr=lr)
    found = {"metric": type(metric).__name__, "scores": scores, "images": list(images.shape)}
    print(json.dumps({**found, "labels": list(labels.shape), "lr": float(lr)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The public data sets of the paper: their files' names, their classes, and how they are mirrored.

The names and formats are those of the lists published with AdaFuse.  Frames lie in one folder per
video as ``00001.jpg``, ``00002.jpg`` ...
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.class_files import read_class_names
from adafuse_deploy.data.lists import ListReading, VideoList, read_list


@dataclass(frozen=True)
class DatasetFormat:
    """What is known about a public data set.

    Attributes:
        name: as in recipes and on the command line.
        num_classes: number of actions.
        train_list, val_list, class_file: names of the published lists.
        template: file name of frame ``n``, counting from 1.
        flip: how the paper mirrors training clips, for :func:`adafuse_deploy.data.flips.flip_rule`:
            not at all where classes differ only by left and right.
        rate: frames a second of the published images; None where everybody extracts their own.
    """

    name: str
    num_classes: int
    train_list: str
    val_list: str
    class_file: str = "classInd.txt"
    template: str = "{:05d}.jpg"
    flip: str = "none"
    rate: float | None = None

    def read(
        self,
        split: str,
        lists: str | os.PathLike[str],
        frames: str | os.PathLike[str],
        reading: ListReading | None = None,
    ) -> VideoList:
        """Read and check a split.

        Args:
            split: "train" or "val".
            lists: folder of the published list files.
            frames: folder that the lists' paths start from.
            reading: how to read the list; ``template`` has that of the data set by default.

        Raises:
            InputError: as :func:`adafuse_deploy.data.lists.read_list`.
        """
        name = {"train": self.train_list, "val": self.val_list}[split]
        reading = reading or ListReading()
        reading = replace(
            reading,
            root=frames,
            template=reading.template or self.template,
            first_label=reading.first_label or 0,
        )
        return read_list(Path(lists) / name, reading, num_classes=self.num_classes)

    def class_names(self, lists: str | os.PathLike[str]) -> tuple[str, ...]:
        """Read the names of the classes from the folder of the published list files.

        Raises:
            InputError: the class file is missing or of another data set.
        """
        path = Path(lists) / self.class_file
        names = read_class_names(path)
        if len(names) != self.num_classes:
            raise InputError(
                f"{path} has {len(names)} classes but {self.name} has {self.num_classes}; "
                "give the class file that belongs to the lists."
            )
        return names


PUBLISHED_RATE = 12
"""Frames a second of the images that Something-Something V1 and Jester are published as.

Something-Something V1: so said its page, quoted by github.com/coderSkyChen/Action_Recognition_Zoo.
Jester: clips of 3 seconds have 36 images in the mean and the median, by the lists that came with
AdaFuse (35.6 over the 118562 of training).
"""

DATASETS = {
    data.name: data
    for data in (
        DatasetFormat(
            "somethingv1", 174, "train_split.txt", "validation_split.txt", rate=PUBLISHED_RATE
        ),
        DatasetFormat("somethingv2", 174, "train_videofolder.txt", "val_videofolder.txt"),
        DatasetFormat("jester", 27, "train_split.txt", "validation_split.txt", rate=PUBLISHED_RATE),
        DatasetFormat(
            "minikinetics",
            200,
            "mini_train_videofolder.txt",
            "mini_val_videofolder.txt",
            "minik_classInd.txt",
            flip="free",
        ),
    )
}

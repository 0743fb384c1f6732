"""Many videos to rows of labels: processes read videos ahead while the engine runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import AdaFuseError
from adafuse_deploy.data.clip_workers import ClipReaders, ClipSettings, Reading
from adafuse_deploy.data.inputs import Video
from adafuse_deploy.engines.classification import classifications

if TYPE_CHECKING:
    from adafuse_deploy.engines.engine import Engine


def label_columns(top: int) -> dict[str, type]:
    """Return the columns of a table of labels, with ``top`` classes."""
    columns: dict[str, type] = {"path": str}
    for rank in range(1, top + 1):
        columns |= {f"label_{rank}": str, f"class_{rank}": int, f"probability_{rank}": float}
    return columns | {"gmacs": float, "frames": int, "seconds": float, "error": str}


@dataclass(frozen=True)
class LabelOptions:
    """How videos are labelled.

    Attributes:
        top: how many classes a row has; those there are, where that is fewer.
        workers: processes that read videos; with 0 each is read when the one before it is labelled.
        template: names of the images in folders; found out by default.
        strict: refuse videos with damaged frames.
    """

    top: int = 5
    workers: int = 1
    template: str | None = None
    strict: bool = False


@dataclass(frozen=True)
class LabelledVideo:
    """What became of one video.

    Attributes:
        row: the columns of :func:`label_columns`; what is not known is None.  A video that cannot
            be used has an error.
        warnings: what is wrong with it though it can be used, in sentences.
        notes: what was logged about it.
    """

    row: dict[str, Any]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Labeller(Protocol):
    """Something that labels videos, here or elsewhere.

    Attributes:
        engine_name: what recognises them, as :attr:`Engine.name`.
        config: of the network.
    """

    @property
    def engine_name(self) -> str: ...

    @property
    def config(self) -> ModelConfig: ...

    def label(self, videos: Sequence[Video]) -> Iterator[LabelledVideo]:
        """Yield every video once, in the order in which they are ready."""
        ...


class LocalLabeller:
    """An engine of this process and processes that read ahead of it.

    Args:
        engine: what recognises videos; it stays open.
        options: how.
    """

    def __init__(self, engine: Engine, options: LabelOptions) -> None:
        config = engine.metadata.config
        self.engine_name, self.config = engine.name, config
        self._engine, self._top = engine, min(options.top, config.num_classes)
        self._readers = ClipReaders(
            ClipSettings(
                config.num_segments, config.preprocessing, options.template, options.strict
            ),
            options.workers,
        )

    def label(self, videos: Sequence[Video]) -> Iterator[LabelledVideo]:
        """Yield every video once, in the order in which they are ready."""
        for reading in self._readers.read(enumerate(videos)):
            row: dict[str, Any] = dict.fromkeys(label_columns(self._top))
            row |= {"path": videos[reading.number].path, "error": reading.error}
            row |= {"frames": reading.frames, "seconds": reading.seconds}
            try:
                row |= self._labels(reading)
            except AdaFuseError as error:
                row["error"] = str(error)
            yield LabelledVideo(row, reading.warnings, reading.notes)

    def close(self) -> None:
        """End the processes that read."""
        self._readers.close()

    def __enter__(self) -> LocalLabeller:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _labels(self, reading: Reading) -> dict[str, Any]:
        if reading.clip is None:
            return {}
        prediction = self._engine.run(reading.clip[None])
        (answer,) = classifications(prediction, self.config, self._top)
        found: dict[str, Any] = {"gmacs": int(prediction.macs[0]) / 1e9}
        for rank, label in enumerate(answer, 1):
            found |= {f"label_{rank}": label.name, f"class_{rank}": label.index}
            found[f"probability_{rank}"] = label.probability
        return found

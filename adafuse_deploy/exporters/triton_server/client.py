"""Recognise a video on the Triton Inference Server that serves this model.

    pip install 'tritonclient[grpc]' adafuse-deploy
    python client.py video.mp4 --url localhost:8001

Clips are prepared as the model's configuration on the server says.  A model for streams gets
frames as far apart as in its training, or every n-th, as one sequence; the mean of their logits is
shown.
"""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton

import adafuse_deploy
from adafuse_deploy.data.feed import Sampling, open_feed


class Model:
    """A model on a server.

    Args:
        url: of the server's gRPC port.
        name: of the model.
    """

    def __init__(self, url: str, name: str) -> None:
        self._client, self._name = triton.InferenceServerClient(url), name
        served = self._client.get_model_config(name).config
        metadata = json.loads(served.parameters["adafuse"].string_value)
        self.config = adafuse_deploy.ModelConfig.from_dict(metadata["config"])
        self.streams = metadata["mode"] == "stream"

    def infer(self, tensor: str, values: np.ndarray, **sequence: object) -> np.ndarray:
        """Return the logits, float32 (1, K), of a clip or of a stream's next frame."""
        given = triton.InferInput(tensor, list(values.shape), "FP32")
        given.set_data_from_numpy(values)
        wanted = [triton.InferRequestedOutput("logits")]
        logits: np.ndarray = self._client.infer(
            self._name, [given], outputs=wanted, **sequence
        ).as_numpy("logits")
        return logits

    def clip(self, video: str) -> np.ndarray:
        """Return the logits (1, K) of a video, from frames all over it."""
        config = self.config
        clip = adafuse_deploy.open_clip(video, config.num_segments, config.preprocessing)
        return self.infer("frames", clip[None])

    def stream(self, video: str, stride: int | None) -> Iterator[np.ndarray]:
        """Yield the logits (1, K) of a video's steps; the server keeps what it saw.

        Args:
            video: the file.
            stride: a step every so many frames; None for steps of the model's frame spacing.
        """
        sequence = 1 + secrets.randbelow(2**63 - 1)  # no other stream may have this number
        spacing = None if stride else self.config.frame_spacing
        frames = _frames(video, Sampling(stride or 1, spacing.median if spacing else None))
        following, first = next(frames, None), True
        while (image := following) is not None:
            following = next(frames, None)
            frame = adafuse_deploy.preprocess(image[None], self.config.preprocessing)
            yield self.infer(
                "frame",
                frame,
                sequence_id=sequence,
                sequence_start=first,
                sequence_end=following is None,
            )
            first = False


def _frames(video: str, sampling: Sampling) -> Iterator[np.ndarray]:
    with open_feed(video, sampling) as feed:
        for frame in feed:
            yield frame.image


def main() -> None:
    """Print the five best classes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("video")
    parser.add_argument("--url", default="localhost:8001")
    parser.add_argument("--model", default=Path(__file__).resolve().parent.name)
    parser.add_argument("--stride", type=int, help="a stream's frames [those of its training]")
    options = parser.parse_args()
    model = Model(options.url, options.model)
    if model.streams:
        logits = np.mean(list(model.stream(options.video, options.stride)), 0)[0]
    else:
        logits = model.clip(options.video)[0]
    weights = np.exp(logits - logits.max())
    for index in np.argsort(-logits)[:5]:
        print(f"{weights[index] / weights.sum():7.1%}  {model.config.labels[index]}")


if __name__ == "__main__":
    main()

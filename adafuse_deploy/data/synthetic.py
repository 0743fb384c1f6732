"""Procedural action videos that only a network with temporal modelling can tell apart.

A textured object acts over a textured background under camera jitter, flicker, noise and moving
distractors.  Classes come in pairs, and the second of a pair is the first *played backwards*: the
unordered set of frames has the same distribution in both, so a network that averages independent
frames (TSN) recognises the pair but is at chance inside it.

Segment sampling keeps that exactly when the video's length is an odd multiple of the segments, as
24 frames are of 8.  With a remainder, training never draws the last frames; with an even multiple,
evaluation takes frames a little nearer to the end than to the start.

Lengths are in units of half the frame, coordinates run from -1 (left, top) to 1 (right, bottom).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CLASS_NAMES = (
    "moving right",
    "moving left",
    "moving down",
    "moving up",
    "approaching",
    "receding",
    "appearing",
    "vanishing",
    "rotating clockwise",
    "rotating counterclockwise",
    "opening",
    "closing",
)
RATE = 8
"""Frames a second where procedural videos are written or their time is asked for."""
TIME_REVERSED = {label: label ^ 1 for label in range(len(CLASS_NAMES))}
"""The class of a clip played backwards."""


def synthetic_clip(
    index: int, *, seed: int = 0, size: int = 64, num_frames: int = 24
) -> tuple[np.ndarray, int]:
    """Return clip ``index`` of the endless data set ``seed``: uint8 (T, size, size, 3) and label.

    Labels go round the classes, so any run of consecutive indices is balanced.
    """
    label = index % len(CLASS_NAMES)
    rng = np.random.default_rng((seed, index))
    return render_clip(label, rng, size=size, num_frames=num_frames), label


def synthetic_frames(
    index: int, moments: np.ndarray, *, seed: int = 0, size: int = 64
) -> np.ndarray:
    """Return frames of clip ``index`` at ``moments`` of its action: uint8 (T, size, size, 3).

    Moments are from 0, its first frame, to 1, its last.
    What moves is as in :func:`synthetic_clip`, whose T frames are at 0, 1 / (T - 1), ..., 1; noise
    and flicker are drawn for the frames asked for.
    """
    pair, backwards = divmod(index % len(CLASS_NAMES), 2)
    time = 1 - moments if backwards else moments
    return _render(_ACTIONS[pair], np.random.default_rng((seed, index)), size, time)


def render_clip(
    label: int, rng: np.random.Generator, *, size: int = 64, num_frames: int = 24
) -> np.ndarray:
    """Draw one clip of a class: uint8 (num_frames, size, size, 3), RGB.

    The same generator state gives, for the other class of the pair, the same frames in reverse.
    """
    pair, backwards = divmod(label, 2)
    frames = _render(_ACTIONS[pair], rng, size, np.linspace(0, 1, num_frames))
    return np.ascontiguousarray(frames[::-1]) if backwards else frames


@dataclass
class _Pose:
    """Where and how an object is in each of the T frames; every field is float32 (T,)."""

    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    angle: np.ndarray
    opacity: np.ndarray
    gap: np.ndarray  # between the halves of an opened object, in radii

    @classmethod
    def still(cls, rng: np.random.Generator, num_frames: int) -> _Pose:
        """An object at rest near the centre, of random size and orientation."""
        x, y = rng.uniform(-0.25, 0.25, 2)
        radius, angle = rng.uniform(0.3, 0.45), rng.uniform(0, 2 * np.pi)
        values = (x, y, radius, angle, 1.0, 0.0)
        return cls(*(np.full(num_frames, value, np.float32) for value in values))


# An action changes a pose at rest.  `path` runs monotonically from -1 to 1 over the T frames.
_Action = Callable[[_Pose, np.ndarray, np.random.Generator], None]


def _move_right(pose: _Pose, path: np.ndarray, rng: np.random.Generator) -> None:
    pose.x += path * rng.uniform(0.4, 0.65)


def _move_down(pose: _Pose, path: np.ndarray, rng: np.random.Generator) -> None:
    pose.y += path * rng.uniform(0.4, 0.65)


def _approach(pose: _Pose, path: np.ndarray, rng: np.random.Generator) -> None:
    pose.radius *= np.exp(path * rng.uniform(0.4, 0.65))


def _appear(pose: _Pose, path: np.ndarray, rng: np.random.Generator) -> None:
    pose.opacity *= 0.5 + 0.5 * path


def _rotate_clockwise(pose: _Pose, path: np.ndarray, rng: np.random.Generator) -> None:
    # Like the hand of a dial: about a pivot at its lower end, through the upright.
    pose.angle[:] = rng.uniform(-0.4, 0.4) + path * rng.uniform(0.9, 1.3)
    pose.x += pose.radius * np.sin(pose.angle)
    pose.y -= pose.radius * np.cos(pose.angle)


def _open(pose: _Pose, path: np.ndarray, rng: np.random.Generator) -> None:
    pose.gap += (0.5 + 0.5 * path) * rng.uniform(0.6, 0.9)


_ACTIONS: tuple[_Action, ...] = (
    _move_right,
    _move_down,
    _approach,
    _appear,
    _rotate_clockwise,
    _open,
)


def _render(action: _Action, rng: np.random.Generator, size: int, time: np.ndarray) -> np.ndarray:
    num_frames = len(time)
    # Uneven speed: the warp is its own time reversal, so it does not betray the direction.
    path = 2 * (time + rng.uniform(-0.7, 0.7) * np.sin(2 * np.pi * time) / (2 * np.pi)) - 1
    pose = _Pose.still(rng, num_frames)
    action(pose, path.astype(np.float32), rng)

    camera = _wobble(rng, time, 0.05)
    backdrop_colors = rng.uniform(0.2, 0.8, 3) + rng.uniform(-0.15, 0.15, (2, 3))
    frames = _pan(_texture(rng, backdrop_colors, _margin(size)), camera, size)
    for _ in range(rng.integers(3)):
        distractor = _Pose.still(rng, num_frames)
        distractor.radius *= 0.4
        angle = rng.uniform(0, 2 * np.pi)
        distractor.x += 0.75 * np.cos(angle)
        distractor.y += 0.75 * np.sin(angle)
        if rng.random() < 0.5:
            sway = _wobble(rng, time, 0.15)
            distractor.x += sway[:, 0]
            distractor.y += sway[:, 1]
        _draw(frames, distractor, camera, _object_texture(rng, backdrop_colors), rng)
    _draw(frames, pose, camera, _object_texture(rng, backdrop_colors), rng)

    frames *= rng.uniform(0.92, 1.08, (num_frames, 1, 1, 1)).astype(np.float32)
    frames *= 255
    noise = np.frombuffer(rng.bytes(frames.size), np.int8).reshape(frames.shape)
    frames += noise * np.float32(rng.uniform(0.02, 0.08))
    return np.clip(frames, 0, 255, out=frames).astype(np.uint8)


def _wobble(rng: np.random.Generator, time: np.ndarray, amplitude: float) -> np.ndarray:
    """A shaky path around the origin, (T, 2); random phases make it alike in both directions."""
    frequency = rng.uniform(0.5, 3, (3, 1, 2))
    phase = rng.uniform(0, 2 * np.pi, (3, 1, 2))
    waves = np.sin(2 * np.pi * frequency * time[:, None] + phase)
    return (amplitude * waves.mean(0)).astype(np.float32)


def _margin(size: int) -> int:
    """Side of the backdrop, which leaves room for the camera's motion."""
    return size + 2 * int(np.ceil(0.06 * size / 2)) + 2


def _pan(backdrop: np.ndarray, camera: np.ndarray, size: int) -> np.ndarray:
    """Look at the backdrop (S, S, 3) through the moving camera: float32 (T, size, size, 3)."""
    frames = np.empty((len(camera), size, size, 3), np.float32)
    offsets = (len(backdrop) - size) / 2 - camera * size / 2
    for frame, (left, top) in zip(frames, offsets, strict=True):
        x, y = int(left), int(top)
        rows = backdrop[y : y + size + 1, x : x + size + 1]
        rows = rows[:-1] + (rows[1:] - rows[:-1]) * np.float32(top - y)
        frame[:] = rows[:, :-1] + (rows[:, 1:] - rows[:, :-1]) * np.float32(left - x)
    return frames


def _texture(
    rng: np.random.Generator, colors: np.ndarray, size: int, slope: float = 0.0
) -> np.ndarray:
    """A pattern between two colours (2, 3) in 0...1: float32 (size, size, 3).

    With a ``slope`` the first colour prevails at the top and the second at the bottom.
    """
    grid = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = grid[None, :], grid[:, None]
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    along = np.cos(angle) * x + np.sin(angle) * y
    across = np.cos(angle) * y - np.sin(angle) * x
    frequency = rng.uniform(3, 9)
    kind = rng.integers(3)
    if kind == 0:  # stripes
        pattern = np.sin(frequency * along + phase)
    elif kind == 1:  # checks
        pattern = np.tanh(4 * np.sin(frequency * along + phase) * np.sin(frequency * across))
    else:  # cloud
        pattern = _cloud(rng, size)
    weight = np.clip(0.5 + 0.3 * pattern + slope * y, 0, 1)[..., None]
    first, second = colors.astype(np.float32)
    return first + (second - first) * weight


def _cloud(rng: np.random.Generator, size: int) -> np.ndarray:
    """Smooth noise in -1...1, a coarse random grid interpolated: float32 (size, size)."""
    coarse = rng.uniform(-1, 1, (7, 7)).astype(np.float32)
    place = np.linspace(0, 6, size, dtype=np.float32)
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(7, dtype=np.float32)))
    return weights @ coarse @ weights.T


def _object_texture(rng: np.random.Generator, backdrop_colors: np.ndarray) -> np.ndarray:
    """A texture whose top stands out from the backdrop more than its bottom: float32 (32, 32, 3).

    So an object's orientation shows, whatever its outline.
    """
    backdrop = backdrop_colors.mean(0)
    contrast = np.array([[0.5], [0.15]]) + rng.uniform(0, 0.1, (2, 3))
    return _texture(rng, backdrop + np.where(backdrop < 0.5, contrast, -contrast), 32, slope=0.6)


def _draw(
    frames: np.ndarray,
    pose: _Pose,
    camera: np.ndarray,
    texture: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Draw an antialiased textured object of random shape into float32 frames (T, S, S, 3)."""
    outline = _OUTLINES[rng.integers(len(_OUTLINES))]
    size = frames.shape[1]
    grid = (np.arange(size, dtype=np.float32) * 2 + 1) / size - 1
    dx = grid[None, :] - (pose.x + camera[:, 0])[:, None]
    dy = grid[None, :] - (pose.y + camera[:, 1])[:, None]
    # Only pixels within the object's reach are worked on, as flat lists of points.
    reach = pose.radius * (1 + pose.gap) + 2 / size
    near = (dx * dx)[:, None, :] + (dy * dy)[:, :, None] < (reach * reach)[:, None, None]
    t, row, column = np.nonzero(near)

    cos, sin = (np.cos(pose.angle) / pose.radius)[t], (np.sin(pose.angle) / pose.radius)[t]
    dx, dy = dx[t, column], dy[t, row]
    x, y = cos * dx + sin * dy, cos * dy - sin * dx
    apart = np.abs(x) - pose.gap[t]
    x = np.copysign(np.maximum(apart, 0), x)
    pixels = pose.radius[t] * (size / 2)
    cover = np.clip(0.5 - outline(x, y) * pixels, 0, 1)
    cover *= np.where(pose.gap[t] > 0, np.clip(0.5 + apart * pixels, 0, 1), 1)
    cover *= pose.opacity[t]

    last = len(texture) - 1
    u = np.clip((x + 1) * (last / 2) + 0.5, 0, last).astype(np.intp)
    v = np.clip((y + 1) * (last / 2) + 0.5, 0, last).astype(np.intp)
    under = frames[t, row, column]
    frames[t, row, column] = under + (texture[v, u] - under) * cover[:, None]


# Signed distances (approximate outside corners) to outlines within the unit circle.


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y) - 1


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) - np.float32(0.7)


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x) * np.float32(np.sqrt(0.75)) + y / 2, -y) - np.float32(0.5)


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.minimum(_triangle(x, y), _triangle(x, -y))


_OUTLINES = (_disc, _square, _triangle, _star)

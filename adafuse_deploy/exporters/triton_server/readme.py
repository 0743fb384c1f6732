"""The page that lies beside a packaged model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adafuse_deploy.core.metadata import GraphMetadata, StateTensor

_CLIPS = """Requests are clips that are prepared as the metadata in the parameter `adafuse` of the
model's configuration says; `client.py` does it. Those that arrive within {delay} ms of each other
run together, up to {max_batch} clips.
"""

_STREAMS = """A sequence is a stream: its first request has `sequence_start`, its last
`sequence_end`, each has the stream's `sequence_id` and the next frame, prepared as the metadata in
the parameter `adafuse` of the model's configuration says; `client.py` does it. The server keeps
{state:.2f} MB of state for each stream, twice, zeros at its start. {max_streams} streams
run at a time in an instance, others wait for their turn; frames of up to {max_batch} of them that
arrive within {delay} ms run together. A stream that is silent for {idle} s is forgotten: its
next frame must be a start. `logits` are those of one frame; their mean over frames is the client's.
"""


def readme(
    name: str,
    metadata: GraphMetadata,
    config: Mapping[str, Any],
    needs: str,
    mounted_at: str,
    server_options: Sequence[str],
) -> str:
    """Return the page, Markdown.

    Args:
        name: of the model.
        metadata: what it is.
        config: its configuration.
        needs: what the server must be, in words.
        mounted_at: the repository's folder as the server sees it.
        server_options: words that the server must be started with.
    """
    batcher = config.get("sequence_batching", config.get("dynamic_batching"))
    assert batcher is not None
    oldest = batcher.get("oldest", batcher)
    text = (_STREAMS if metadata.mode == "stream" else _CLIPS).format(
        max_batch=config["max_batch_size"],
        delay=oldest["max_queue_delay_microseconds"] / 1000,
        max_streams=oldest.get("max_candidate_sequences"),
        idle=batcher.get("max_sequence_idle_microseconds", 0) // 1_000_000,
        state=sum(map(_bytes, metadata.state)) / 1e6,
    )
    command = " \\\n    ".join(
        [
            f"docker run --rm -p 8000:8000 -p 8001:8001 -v $PWD:{mounted_at} \\\n"
            "    nvcr.io/nvidia/tritonserver:RELEASE-py3 "
            f"tritonserver --model-repository={mounted_at}",
            *server_options,
        ]
    )
    outputs = "\n".join(
        f"| `{output['name']}` | {output['data_type']} | {output['dims']} |"
        for output in (*config["input"], *config["output"])
    )
    return f"""# {name}

{metadata.config.summary}, for Triton Inference Server: {needs}.

In the folder above this one:

```sh
{command}
python {name}/client.py video.mp4        # pip install 'tritonclient[grpc]' adafuse-deploy
```

The server must see the repository at `{mounted_at}`, because the configuration names files there.

{text}
| tensor | type | shape of one |
| --- | --- | --- |
{outputs}

`labels.txt` names the classes of `logits`.
"""


def _bytes(state: StateTensor) -> int:
    return math.prod(state.shape) * np.dtype(state.dtype).itemsize

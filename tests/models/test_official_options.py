"""The options of the public code's training runs: every one is supported, refused or irrelevant."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.official import load_official, read_official
from adafuse_deploy.models.official.arguments import MOST_BYTES, parse_arguments, read_arguments
from adafuse_deploy.models.official.irrelevant import IRRELEVANT
from adafuse_deploy.models.official.options import DEFAULTS, flag, state
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.training.initialise import initialise
from tests.golden import FOLDER, arguments, write_official
from tests.support import run_cli, slow

PAGE = Path(__file__).parents[2] / "docs" / "official.md"

# What an option of the run does: fields of the configuration that it gives, on the checkpoint that
# has it; or a refusal, or that it contradicts the checkpoint.
SUPPORTED: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"num_segments": 4}, "adatsn18", {"num_segments": 4}),
    ({"dropout": 0.8}, "adatsn18", {"dropout": 0.8}),
    ({"shift": True}, "adatsn18", {"temporal_shift": "bidirectional", "shift_div": 8}),
    ({"shift": True, "shift_div": 4}, "adatsn18", {"shift_div": 4}),
    ({"shift_place": "block"}, "adatsn18", {"temporal_shift": "none"}),  # not of gated networks
    ({"gate_reduce_type": "max"}, "adatsn18", {"gate_pooling": "max"}),
    ({"gate_relu_between_fcs": False}, "adatsn18", {"gate_relu": False}),
    ({"gate_history_conv_type": "conv1x1"}, "adatsn18", {"gate_hidden": 8}),  # of CGNet
    ({"gate_no_skipping": True}, "adatsn18noskip", {"gate_actions": ("keep", "reuse")}),
    ({"gate_history": False}, "adatsn18nohistory", {"gate_actions": ("keep", "skip")}),
    ({"single_linear": True}, "adatsn18single", {"gate_layers": 1}),
    ({"dense_in_block": True}, "adatsn18dense", {"dense_gates": True}),
    ({"enable_from": 0, "disable_from": 4}, "adatsn18", {"gated_stages": (1, 2, 3, 4)}),
    ({"enabled_layers": list(range(8))}, "adatsn18", {"gated_stages": (1, 2, 3, 4)}),
    ({"enabled_stages": [0, 1, 2, 3]}, "adatsn18", {"gated_stages": (1, 2, 3, 4)}),
    ({"ada_reso_skip": False, "arch": "resnet18"}, "tsn18plain", {"temporal_shift": "none"}),
    (
        {"ada_reso_skip": False, "arch": "resnet18", "shift": True, "shift_div": 4},
        "tsm18plain",
        {"temporal_shift": "bidirectional", "shift_place": "conv1", "shift_div": 4},
    ),
]
REFUSED: list[dict[str, Any]] = [
    {"gate_gumbel_use_soft": True},
    {"gate_all_zero_policy": True},
    {"gate_all_one_policy": True},
    {"gate_random_hard_policy": True},
    {"gate_random_soft_policy": True},
    {"gate_threshold": True},
    {"granularity": 4},
    {"gate_channel_starts": 16},
    {"gate_channel_ends": 32},
    {"gate_conv_embed_type": "conv3x3"},
    {"policy_attention": True},
    {"gate_history_conv_type": "ghost"},
    {"gate_history_conv_type": "ghostbnrelu"},
    {"arch": "cgnet18"},
    {"arch": "batenet152"},
    {"arch": "AdaBNInc", "gate_reduce_type": "max"},
    {"arch": "AdaBNInc", "shared_policy_net": True},
    {"arch": "AdaBNInc", "gate_only_current_policy": True},
    {"ada_reso_skip": False, "arch": "resnet18", "shift": True, "shift_place": "block"},
]
# On the checkpoint of adatsn18, whose keys show something else.
CONTRADICTED: list[dict[str, Any]] = [
    {"ada_reso_skip": False, "arch": "resnet18"},
    {"arch": "batenet34"},
    {"arch": "AdaBNInc"},
    {"num_class": 27},
    {"gate_history": False},
    {"gate_no_skipping": True},
    {"single_linear": True},
    {"triple_linear": True},
    {"gate_bn_between_fcs": False},
    {"shared_policy_net": True},
    {"gate_hidden_dim": 32},
    {"hidden_quota": 4096},
    {"relative_hidden_size": 0.5},
    {"dense_in_block": True},
    {"enable_from": 3},
    {"disable_from": 2},
    {"enabled_layers": [1, 2]},
    {"enabled_stages": [3]},
    {"gate_only_current_policy": True},
]


def _run(folder: Path, name: str, **changed: Any) -> Path:
    """Write the run of a tiny configuration and return its checkpoint."""
    (folder / "models").mkdir(parents=True)
    (folder / "args.txt").write_text(arguments(**{"gate_hidden_dim": 8, **changed}))
    return write_official(name, folder / "models", tiny=True)


@pytest.mark.parametrize(
    ("changed", "name", "fields"), SUPPORTED, ids=[str(case[0]) for case in SUPPORTED]
)
def test_supported_options(
    changed: dict[str, Any], name: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    config = load_official(_run(tmp_path / "run", name, **changed), size=32).config
    assert {field: getattr(config, field) for field in fields} == fields


@pytest.mark.parametrize("changed", REFUSED, ids=str)
def test_refused_options_are_named(changed: dict[str, Any], tmp_path: Path) -> None:
    path = _run(tmp_path / "run", "adatsn18", **changed)
    with pytest.raises(InputError) as error:
        load_official(path, size=32)
    assert all(part in str(error.value) for part in (flag(list(changed)[-1]), "not supported"))


@pytest.mark.parametrize("changed", CONTRADICTED, ids=str)
def test_options_of_another_run_are_named(changed: dict[str, Any], tmp_path: Path) -> None:
    path = _run(tmp_path / "run", "adatsn18", **changed)
    with pytest.raises(InputError, match="of different runs") as error:
        load_official(path, size=32)
    first = next(iter(changed))
    said = "27 classes" if first == "num_class" else flag(first)
    assert said in str(error.value)


@pytest.mark.parametrize("name", sorted(IRRELEVANT))
def test_irrelevant_options_change_nothing(name: str) -> None:
    options = read_arguments(FOLDER / "adatsm18div4.args.txt")
    base = state(options, "args.txt")
    for value in (True, 7, "other", [1], None):
        assert state({**options, name: value}, "args.txt") == base


def test_every_option_of_the_public_code_is_in_the_table_and_tried() -> None:
    options = set(read_arguments(FOLDER / "adatsm18div4.args.txt"))
    assert set(DEFAULTS) | (IRRELEVANT - {"img_feature_dim"}) == options
    tried = {name for changed, *_ in SUPPORTED for name in changed}
    tried |= {name for changed in REFUSED + CONTRADICTED for name in changed}
    assert tried == set(DEFAULTS)
    page = PAGE.read_text()
    for name in DEFAULTS:
        assert f"`{flag(name)}`" in page, name
    assert sum(f"`{name}`" in page for name in IRRELEVANT) == len(IRRELEVANT)


def test_both_ways_of_python_to_write_options_are_read() -> None:
    sorted_names = read_arguments(FOLDER / "adatsm18div4.args.txt")
    assert sorted_names == read_arguments(FOLDER / "adatsm18div4.py311.args.txt")
    assert sorted_names["3d_pretrained_uses"] == "inflation"
    assert (sorted_names["shift_div"], sorted_names["gpus"]) == (4, [0, 1, 2, 3])


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0", b"\xff\xfe", b"{}", b"shift=True", b"Namespace(", b"Namespace(1)",
        b"Other(a=1)", b"Namespace(a=1, a=2)", b"Namespace(a=1, **{'a': 2})", b"Namespace(**x)",
        b"Namespace(**{1: 2})", b"Namespace(a=b)", b"Namespace(a=open('x'))",
        b"a.Namespace(b=1)", b"Namespace(a=1)\nx", b"Namespace(a={**{}})", b"Namespace(a={[]})",
        b"Namespace(a=" + b"(" * 5000 + b")" * 5000 + b")", b"Namespace(a=" + b"-" * 9000 + b"1)",
        b"Namespace(a=" + b"9" * 9000 + b")",
    ],
)  # fmt: skip
def test_other_files_are_refused_and_never_run(content: bytes) -> None:
    with pytest.raises(InputError, match=r"args\.txt") as error:
        parse_arguments(content, "args.txt")
    assert "\n" not in str(error.value)


def test_impossible_values_and_unknown_options_are_named(tmp_path: Path) -> None:
    options = read_arguments(FOLDER / "adatsm18div4.args.txt")
    for name, value in {
        "num_segments": 10**9, "shift_div": 0, "gate_history": 1, "arch": ["batenet18"],
        "enabled_stages": [0.5], "relative_hidden_size": "half", "hidden_quota": 2**40,
        "num_class": -1,
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=f"{flag(name)} .*not possible"):
            state({**options, name: value}, "args.txt")
    with pytest.raises(InputError, match=r"does not have .*gate_magic"):
        state({**options, "gate_magic": 1}, "args.txt")
    assert state({**options, "gate_magic": False}, "args.txt") == state(options, "args.txt")
    del options["arch"]
    with pytest.raises(InputError, match="lacks --arch"):
        state(options, "args.txt")
    large = tmp_path / "args.txt"
    large.write_bytes(b" " * (MOST_BYTES + 1))
    with pytest.raises(InputError, match="more than 65536 bytes"):
        read_arguments(large)
    with pytest.raises(InputError, match="Cannot read"):
        read_arguments(tmp_path)


def test_options_are_found_beside_the_checkpoint_or_its_folder(tmp_path: Path) -> None:
    path = _run(tmp_path / "run", "adatsn18", shift=True, shift_div=4)
    official = read_official(path)
    assert (official.model.config.shift_div, official.assumed) == (4, ("224 pixels",))
    assert official.arguments == str(tmp_path / "run" / "args.txt")
    beside = path.with_name("args.txt")
    beside.write_text(arguments(gate_hidden_dim=8, gate_reduce_type="max"))
    official = read_official(path, size=112)
    assert (official.model.config.gate_pooling, official.assumed) == ("max", ())
    elsewhere = tmp_path / "other.txt"
    elsewhere.write_text(arguments(gate_hidden_dim=8, gate_relu_between_fcs=False))
    assert not load_official(path, arguments=elsewhere).config.gate_relu
    alone = path.rename(tmp_path / "alone.pth.tar")
    with pytest.raises(InputError, match=r"--temporal-shift .*--no-temporal-shift"):
        load_official(alone)


def test_what_nothing_tells_is_assumed_in_words(tmp_path: Path) -> None:
    path = write_official("adatsn18", tmp_path, tiny=True)
    official = read_official(path, temporal_shift=True)
    assert str(official) == (
        "assumed: 1/8 of the channels shifted each way, hard gates, ReLU in the policy networks, "
        "average pooling, 8 frames, 224 pixels"
    )
    said = {"temporal_shift": True, "shift_div": 4, "gate_relu": False, "gate_pooling": "max"}
    official = read_official(path, num_segments=4, size=32, **said)
    assert official.assumed == ("hard gates",)
    found = {"temporal_shift": "bidirectional", "shift_div": 4, "gate_relu": False}
    assert found.items() <= official.model.config.to_dict().items()
    assert official.model.config.gate_pooling == "max"


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"temporal_shift": True}, "--temporal-shift contradicts .* says no --shift"),
        ({"gate_relu": False}, "--no-gate-relu contradicts .* says --grelu"),
        ({"gate_pooling": "max"}, "--gate-pooling max contradicts .* --gate_reduce_type avg"),
        ({"num_segments": 16}, "--num-segments 16 contradicts .* --num_segments 8"),
        ({"shift_div": 4}, "--shift-div is of a temporal shift"),
    ],
)
def test_users_who_contradict_the_run_are_told(
    option: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = _run(tmp_path / "run", "adatsn18")
    with pytest.raises(InputError, match=says):
        load_official(path, size=32, **option)


def test_bninception_needs_no_choice_of_a_shift(tmp_path: Path) -> None:
    path = write_official("adabninc128", tmp_path)
    assert load_official(path).config.temporal_shift == "none"
    with pytest.raises(InputError, match="no temporal shift"):
        load_official(path, temporal_shift=True)
    with pytest.raises(InputError, match="average pooling only"):
        load_official(path, gate_pooling="max")


def test_verbs_say_what_is_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_official("adatsn18", tmp_path, tiny=True)
    ours = tmp_path / "ours.pt"
    sizes = ("--size", 32, "--num-segments", 4)
    assert run_cli("convert", path, *sizes, "-o", ours) == 1
    assert "--no-temporal-shift" in capsys.readouterr().err and not ours.exists()
    assert run_cli("convert", path, *sizes, "--no-temporal-shift", "-o", ours) == 0
    assumed = "assumed: hard gates, ReLU in the policy networks, average pooling"
    assert assumed in capsys.readouterr().err
    assert run_cli("inspect", path, *sizes) == 0
    captured = capsys.readouterr()
    assert "assumed: no temporal shift, hard gates" in captured.err
    assert "say --temporal-shift or --no-temporal-shift" in captured.err
    assert "Next:" not in captured.err  # either answer would make a graph
    (tmp_path / "run.txt").write_text(arguments(gate_hidden_dim=8, gate_reduce_type="max"))
    assert run_cli("inspect", path, "--args", tmp_path / "run.txt") == 0
    captured = capsys.readouterr()
    assert f"options from {tmp_path / 'run.txt'}; assumed: 224 pixels" in captured.err
    assert "8 in stages 1, 2, 3, 4, keep or reuse or skip, maxima over space" in captured.out
    assert run_cli("inspect", ours, "--no-gate-relu") == 1
    assert "leave them out" in capsys.readouterr().err


def test_training_starts_from_gates_of_two_actions(tmp_path: Path) -> None:
    path = write_official("adatsn18noskip", tmp_path, tiny=True)
    official = load_official(path, temporal_shift=False, size=32)
    model = VideoRecognizer(official.config)
    assert not initialise(model, path).new
    weights = official.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    "name", ["adatsn18", slow("adatsn18noskip"), slow("adatsn18triple"), slow("adatsn18dense")]
)
def test_damaged_checkpoints_get_a_sentence(name: str, tmp_path: Path) -> None:
    """Keys dropped, renamed and reshaped at random: nothing but one sentence ever comes out."""
    path = write_official(name, tmp_path, tiny=True)
    whole = torch.load(path, weights_only=True)["state_dict"]
    keys = [key for key in whole if not key.endswith("num_batches_tracked")]  # which may be absent
    rng = random.Random(name)
    for _ in range(30):
        state = dict(whole)
        for key in rng.sample(keys, rng.choice((1, 1, 3))):
            _damage(state, key, rng)
        torch.save({"state_dict": state}, path)
        with pytest.raises(InputError) as error:
            load_official(path, temporal_shift=False, size=32)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (1, 2), (8, 0, 7, 7), (2, 2, 2, 2, 2)])
@pytest.mark.parametrize("name", ["adatsn18", "tsm18plain"])
def test_shapes_that_are_read_before_they_are_compared(
    name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    path = write_official(name, tmp_path, tiny=True)
    whole = torch.load(path, weights_only=True)["state_dict"]
    ends = (
        "model.conv1.weight",
        "model.bn1.weight",
        "0.conv1.weight",
        "new_fc.weight",
        "new_fc.bias",
    )
    ends += ("gate_fc0.weight", "gate_fc1.weight", "gate_fc1.bias", "gate_bn.weight")
    for end in ends:
        key = next((key for key in whole if key.endswith(end)), None)
        if key is not None:
            torch.save({"state_dict": {**whole, key: torch.zeros(shape)}}, path)
            with pytest.raises(InputError) as error:
                load_official(path, temporal_shift=name == "tsm18plain", size=32)
            assert "\n" not in str(error.value)


def _damage(state: dict[str, Any], key: str, rng: random.Random) -> None:
    tensor = state.pop(key)
    kind = rng.randrange(8)
    if kind == 0:
        return
    if kind == 1:
        key = key.replace(rng.choice((".gate", ".layer1", ".weight", "_fc", "conv", "bn")), ".x")
        key += "?"
    elif kind == 2:
        tensor = tensor.reshape(-1, *[1] * rng.randrange(5))[: tensor.numel() // 2 + 1]
    elif kind == 3:
        tensor = torch.zeros([0] * rng.randrange(1, 4))
    elif kind == 4:
        tensor = torch.zeros(
            rng.choice([(3,), (1, 2), (5, 7, 1, 1), (7, 3, 5, 5), (2, 2, 2, 2, 2)])
        )
    elif kind == 5:
        tensor = torch.cat([tensor.reshape(-1)] * 2)
    elif kind == 6:
        tensor = "no tensor"
    else:
        tensor = torch.full([*tensor.shape, 1], float("nan"))
    state[key] = tensor

"""Building through the Python API of TensorRT (10.3 to 11) and TensorRT for RTX: one path for both.

The tests run it with TensorRT for RTX, whose builder needs no GPU, and with a stand-in for what
only TensorRT does; its calls were checked against the type stubs of TensorRT 10.13.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError
from adafuse_deploy.core.files import atomic_path
from adafuse_deploy.engines import plugin_library
from adafuse_deploy.engines.backends import BACKENDS
from adafuse_deploy.engines.tensorrt_logging import make_monitor, trt_logger
from adafuse_deploy.exporters.build_options import HARDWARE_COMPATIBILITY
from adafuse_deploy.graph import without_gemm

if TYPE_CHECKING:
    from pathlib import Path

    import onnx
    import tensorrt

    from adafuse_deploy.exporters.build_options import BuildOptions


_AMPERE = 8.0
"""The first compute capability that multiplies bfloat16, and that engines can be portable from."""


class TensorRTBuilder:
    """A builder for chosen options.

    Args:
        backend: "tensorrt" or "tensorrt-rtx".
        options: checked here, before any work.

    Attributes:
        version: of the backend.
        compute_capabilities: of the GPUs that engines will run on, as in a sidecar.

    Raises:
        InputError: an option does not fit the backend.
        MissingDependencyError: the backend, or for "tensorrt" a GPU, is missing.
    """

    def __init__(self, backend: str, options: BuildOptions) -> None:
        self._trt = BACKENDS[backend].load()
        self._options = options
        self._ahead_of_time = backend == "tensorrt-rtx"
        self.version = str(self._trt.__version__)
        self.compute_capabilities = self._targets() if self._ahead_of_time else self._this_gpu()
        self._check_bf16()

    def build(self, model: onnx.ModelProto, library: Path | None = None) -> Any:
        """Return the serialised engine of a graph, as a buffer.

        Args:
            model: in standard operators and those of the plugin library, if there is one.
            library: of plugins, or None.

        Raises:
            IncompatibleArtifactError: the graph cannot be parsed.
            MissingDependencyError: the library cannot be loaded.
            InputError: the build failed, for want of memory as a rule.
        """
        trt, logger = self._trt, trt_logger(self._trt)
        logger.failure()  # forget those of earlier builds
        if self._ahead_of_time and without_gemm.CAPABILITY in self.compute_capabilities:
            model = without_gemm.linear_as_convolution(model)
        if library is not None:
            plugin_library.load(library, trt)
        builder: tensorrt.Builder = trt.Builder(logger)
        network: tensorrt.INetworkDefinition = builder.create_network(_strongly_typed(trt))
        parser: tensorrt.OnnxParser = trt.OnnxParser(network, logger)
        if not parser.parse(model.SerializeToString()):
            reasons = [parser.get_error(index).desc() for index in range(parser.num_errors)]
            raise IncompatibleArtifactError(
                f"{trt.__name__} {self.version} cannot parse the graph: {'; '.join(reasons)}."
            )
        config = self._config(builder, network)
        if library is not None and self._options.embed_plugins:
            config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)  # only such engines carry plugins
            config.plugins_to_serialize = [str(library)]
        monitor = make_monitor(trt)  # TensorRT keeps no reference
        config.progress_monitor = monitor
        self._read_timing_cache(config)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise InputError(
                f"{trt.__name__} {self.version} could not build the engine: {logger.failure()}. "
                "If memory ran out, lower --max-batch or --workspace."
            )
        self._write_timing_cache(config)
        return plan

    def _config(
        self, builder: tensorrt.Builder, network: tensorrt.INetworkDefinition
    ) -> tensorrt.IBuilderConfig:
        trt, batch = self._trt, self._options.batch
        config: tensorrt.IBuilderConfig = builder.create_builder_config()
        # TensorFloat-32 rounds to 10 bits, which flips policies.
        config.clear_flag(trt.BuilderFlag.TF32)
        if self._options.workspace is not None:
            config.set_memory_pool_limit(
                trt.MemoryPoolType.WORKSPACE, self._options.workspace << 20
            )
        frames = network.get_input(0)
        clip = tuple(frames.shape)[1:]
        profile: tensorrt.IOptimizationProfile = builder.create_optimization_profile()
        smallest, best, largest = ((size, *clip) for size in (batch.min, batch.opt, batch.max))
        profile.set_shape(frames.name, smallest, best, largest)
        config.add_optimization_profile(profile)
        if self._ahead_of_time:
            self._set_targets(config)
        elif self._options.hardware_compatibility != "none":
            config.hardware_compatibility_level = self._hardware_compatibility()
        return config

    def _targets(self) -> tuple[str, ...]:
        """Return the GPUs to build for, checked against what TensorRT for RTX knows."""
        if self._options.timing_cache is not None:
            raise InputError(
                "TensorRT for RTX measures no kernels when it builds and has no timing cache; "
                "leave out --timing-cache."
            )
        if self._options.hardware_compatibility != "none":
            raise InputError(
                "TensorRT for RTX builds for the GPUs that --compute-capability names; leave out "
                "--hardware-compatibility."
            )
        digits = (name.removeprefix("SM") for name in self._trt.ComputeCapability.__members__)
        known = [f"{number[:-1]}.{number[-1]}" for number in digits if number.isdecimal()]
        for capability in self._options.compute_capabilities:
            if capability not in known:
                raise InputError(
                    f"TensorRT for RTX {self.version} does not build for compute capability "
                    f"{capability}; choose among {', '.join(known)}."
                )
        # As in TensorRT for RTX itself, Turing (7.5) has to be asked for.
        default = tuple(capability for capability in known if not capability.startswith("7."))
        return tuple(dict.fromkeys(self._options.compute_capabilities)) or default

    def _this_gpu(self) -> tuple[str, ...]:
        """Return the GPU at hand, for which TensorRT builds, or what else the engine must fit."""
        from adafuse_deploy.engines.cuda_driver import Gpu

        here = Gpu().compute_capability
        if set(self._options.compute_capabilities) - {here}:
            raise InputError(
                f"TensorRT builds for the GPU it runs on, which has compute capability {here}; "
                "leave out --compute-capability, or use --backend tensorrt-rtx."
            )
        if self._options.hardware_compatibility != "none":
            self._hardware_compatibility()
        if self._options.hardware_compatibility != "ampere-plus":
            return (here,)
        if float(here) < _AMPERE:
            raise InputError(
                f"Engines that fit Ampere and newer GPUs are built on such a GPU, but this one has "
                f"compute capability {here}; leave out --hardware-compatibility."
            )
        return (f"{_AMPERE}+",)

    def _hardware_compatibility(self) -> Any:
        """Return TensorRT's value for the option."""
        name = HARDWARE_COMPATIBILITY[self._options.hardware_compatibility]
        level = getattr(getattr(self._trt, "HardwareCompatibilityLevel", None), name, None)
        if level is None:
            raise InputError(
                f"TensorRT {self.version} does not know --hardware-compatibility "
                f"{self._options.hardware_compatibility}; leave it out, or install a newer one."
            )
        return level

    def _check_bf16(self) -> None:
        old = [entry for entry in self.compute_capabilities if float(entry.rstrip("+")) < _AMPERE]
        if self._options.precision == "bf16" and old:
            raise InputError(
                f"GPUs of compute capability {', '.join(old)} do not compute in bf16, which begins "
                f"with {_AMPERE}; build with --fp16."
            )

    def _set_targets(self, config: Any) -> None:
        config.num_compute_capabilities = len(self.compute_capabilities)
        for index, capability in enumerate(self.compute_capabilities):
            member = self._trt.ComputeCapability.__members__[f"SM{capability.replace('.', '')}"]
            config.set_compute_capability(member, index)

    def _read_timing_cache(self, config: tensorrt.IBuilderConfig) -> None:
        path = self._options.timing_cache
        if path is None:
            return
        content = path.read_bytes() if path.is_file() else b""
        cache = config.create_timing_cache(content)
        if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
            raise IncompatibleArtifactError(
                f"The timing cache {path} is damaged or of another TensorRT or GPU; delete it or "
                "give another --timing-cache."
            )

    def _write_timing_cache(self, config: tensorrt.IBuilderConfig) -> None:
        path = self._options.timing_cache
        if path is not None:
            with atomic_path(path) as temporary:
                temporary.write_bytes(config.get_timing_cache().serialize())


def _strongly_typed(trt: ModuleType) -> int:
    """Return the network flags: precision is what the graph says.  TensorRT 11 knows no other."""
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

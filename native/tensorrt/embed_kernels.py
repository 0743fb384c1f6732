"""Write compiled kernels as sources: ``embed_kernels.py FOLDER_OF_MANIFEST OUTPUT_FOLDER``.

``kernels.S`` includes the cubins, ``kernel_table.cpp`` describes them (kernel_table.h).
"""

import json
import sys
from pathlib import Path

ASSEMBLY = """\
    .section .rodata
{images}
    .section .note.GNU-stack,"",%progbits
"""
IMAGE = """\
    .balign 64
    .global {label}
    .hidden {label}
{label}:
    .incbin "{path}"
"""
TABLE = """\
#include <cstring>
#include <stdexcept>
#include <string>

#include "tensorrt/kernel_table.h"

extern "C" {{
{declarations}
}}

namespace adafuse::plugin {{

const std::vector<Kernel>& kernel_table() {{
  static const std::vector<Kernel> table{{
{kernels}
  }};
  return table;
}}

const Kernel& find_kernel(const char* name) {{
  for (const Kernel& kernel : kernel_table()) {{
    if (std::strcmp(kernel.name, name) == 0) {{
      return kernel;
    }}
  }}
  throw std::runtime_error("This library was built without the kernel " + std::string(name));
}}

}}  // namespace adafuse::plugin
"""


def main(source: Path, output: Path) -> None:
    manifest = json.loads((source / "manifest.json").read_text())
    images, declarations, kernels = [], [], []
    for kernel in manifest["kernels"]:
        cubins = []
        for target, cubin in kernel["cubins"].items():
            label = f"adafuse_cubin_{len(images)}"
            images.append(IMAGE.format(label=label, path=(source / cubin["file"]).resolve()))
            declarations.append(f"extern const unsigned char {label}[];")
            cubins.append(f'{{{target}, "{cubin["symbol"]}", {cubin["shared_bytes"]}, {label}}}')
        parameters = [
            f'{{"{entry["name"]}", {_flag(entry["type"] == "CUdeviceptr")}, '
            f"{_flag(entry['type'] == 'float')}, "
            f"{_flag(entry['name'] in kernel['multiples_of_16'])}}}"
            for entry in kernel["parameters"]
        ]
        kernels.append(
            f'{{"{kernel["name"]}", {kernel["threads"]},\n'
            f"{{{', '.join(parameters)}}},\n{{{', '.join(cubins)}}}}},"
        )
    output.mkdir(parents=True, exist_ok=True)
    (output / "kernels.S").write_text(ASSEMBLY.format(images="".join(images)))
    (output / "kernel_table.cpp").write_text(
        TABLE.format(declarations="\n".join(declarations), kernels="\n".join(kernels))
    )


def _flag(value: bool) -> str:
    return "true" if value else "false"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

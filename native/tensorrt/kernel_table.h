// The compiled GPU kernels inside this library.
//
// embed_kernels.py writes the table from the manifest of adafuse_deploy/ops/triton, whose README.md
// says what kernels take and how they are launched.
#pragma once

#include <cstddef>
#include <vector>

namespace adafuse::plugin {

// A parameter of a kernel, in the order of its signature.
struct Parameter {
  const char* name;
  bool is_address;      // of 64 bits; else it is a number of 32 bits
  bool is_real;         // the number is a float
  bool multiple_of_16;  // the value, or the address in bytes
};

// A kernel's machine code for one GPU generation; the library owns the image.
struct Cubin {
  int target;  // compute capability times ten
  const char* symbol;
  unsigned shared_bytes;
  const unsigned char* image;
};

// One variant of a kernel.
struct Kernel {
  const char* name;
  unsigned threads;
  std::vector<Parameter> parameters;
  std::vector<Cubin> cubins;
};

const std::vector<Kernel>& kernel_table();

// Throws std::runtime_error if the library was built without such a variant.
const Kernel& find_kernel(const char* name);

}  // namespace adafuse::plugin

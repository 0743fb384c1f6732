// The stand-in for the CUDA driver: what it recorded and how it answers.
#pragma once

#include <cuda.h>

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <vector>

struct StandIn {
  struct Function {
    const void* image;
    std::string symbol;
    int shared_bytes;  // that were asked for beyond what every kernel may use
  };
  struct Launched {
    const Function* function;
    std::array<unsigned, 3> grid;
    unsigned threads, shared_bytes;
    CUstream stream;
    std::vector<std::uint64_t> arguments;  // eight bytes each, of smaller ones with what follows
  };

  int capability = 87;
  int context = 0;      // which of the contexts is current
  std::string failing;  // a function that fails
  std::function<std::size_t(const Function&)> arguments_of;
  int modules = 0;
  std::list<Function> functions;
  std::vector<Launched> launches;
};

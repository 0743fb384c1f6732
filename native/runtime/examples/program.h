// Helpers of all examples.
#pragma once

#include <adafuse/errors.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

// Runs `body` on the program's arguments: errors end in one line and the exit code they ask for,
// and so does text that could not be printed.
template <class Body>
int run_program(int argc, char** argv, int at_least, int at_most, const char* usage, Body body) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (argc - 1 < at_least || argc - 1 > at_most) {
    std::fprintf(stderr, "usage: %s %s\n", argv[0], usage);
    return 2;
  }
  try {
    body(arguments);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      std::fprintf(stderr, "Error: Cannot write to standard output: %s.\n", std::strerror(errno));
      return 1;
    }
    return 0;
  } catch (const adafuse::Error& error) {
    std::fprintf(stderr, "Error: %s\n", error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "Error: %s\n", error.what());
    return 1;
  }
}

// What a fuzz target is: a function of bytes, of which any may come, that must come back.
//
// libFuzzer (clang) makes bytes up and calls it; replay.cpp calls it with the files of a folder,
// which is how inputs that once did harm stay tests.  A target takes the exceptions that its
// subject documents; all else ends the program.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

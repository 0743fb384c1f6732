// The examples of FIPS 180-4, and what Python's hashlib gives for a long file.
#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>

#include "src/sha256.h"

namespace {

std::string hash_of(const std::string& bytes) {
  const std::string path = "test_sha256.bin";
  std::ofstream(path, std::ios::binary) << bytes;
  const std::string digits = adafuse::sha256(path);
  std::remove(path.c_str());
  return digits;
}

}  // namespace

TEST_CASE("SHA-256") {
  CHECK(hash_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  // Longer than the buffer.
  CHECK(hash_of(std::string(3000000, 'a')) ==
        "2a152c894398719c0570f83fac34ac03a0f6e8e474b995c2403aa5434f7b9dd4");
  CHECK_THROWS_AS(adafuse::sha256("no such file"), std::runtime_error);
}

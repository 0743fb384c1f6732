#!/bin/sh
# Fetches the headers of this folder anew, in the versions named here, and notes their sums.
#
#   update.sh           after a version below was changed; review with git diff
#   RAW=URL update.sh   from a copy of the repositories' raw files
set -eu
cd "$(dirname "$0")"
RAW=${RAW-https://raw.githubusercontent.com}

# fetch FILE REPOSITORY/TAG/PATH
fetch() {
    mkdir -p "$(dirname "$1")"
    curl --fail --silent --show-error --location "$RAW/$2" --output "$1"
}

onnxruntime=microsoft/onnxruntime/v1.21.0
for name in c_api cxx_api cxx_inline float16; do
    fetch onnxruntime/onnxruntime_$name.h \
        $onnxruntime/include/onnxruntime/core/session/onnxruntime_$name.h
done
fetch onnxruntime/LICENSE $onnxruntime/LICENSE

nlohmann=nlohmann/json/v3.11.3
fetch nlohmann/json.hpp $nlohmann/single_include/nlohmann/json.hpp
fetch nlohmann/LICENSE $nlohmann/LICENSE.MIT

doctest=doctest/doctest/v2.4.11
fetch doctest/doctest.h $doctest/doctest/doctest.h
fetch doctest/LICENSE $doctest/LICENSE.txt

sha256sum -- */* >SHA256SUMS

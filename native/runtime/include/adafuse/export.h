// Everything else in the library is hidden.
#pragma once

#define ADAFUSE_API __attribute__((visibility("default")))

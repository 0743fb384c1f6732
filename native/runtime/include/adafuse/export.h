// ADAFUSE_API marks what the library exports; everything else in it is hidden.
#pragma once

#define ADAFUSE_API __attribute__((visibility("default")))

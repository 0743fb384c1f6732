// A variant of the gemv kernels: compiled once per row of variants.cmake, see
// microkernels/variants.cmake.
//
// Nothing of the C++ library may be used here, see igemm_simd.h.
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "microkernels/gemv/gemv.h"

namespace adafuse::VARIANT {
namespace {

#include "microkernels/simd/shuffle.h"

constexpr std::size_t kLanes = VARIANT_LANES;
constexpr std::size_t kInputs = VARIANT_INPUTS;  // multiplied by rows once these are read
using Vector
    [[gnu::vector_size(kLanes * sizeof(float)), gnu::aligned(sizeof(float)), gnu::may_alias]] =
        float;

inline Vector load(const float* values) {
  return *reinterpret_cast<const Vector*>(values);
}
inline Vector load(const BFloat16* values) {
  using Wide [[gnu::vector_size(sizeof(Vector))]] = std::uint32_t;
#if defined(__AVX512F__)  // one instruction, where the compiler would widen in halves
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values));
  return (Vector)((Wide)_mm512_maskz_cvtepu16_epi32(0xffff, half) << 16);
#else
  using Narrow [[gnu::vector_size(kLanes * sizeof(BFloat16)), gnu::aligned(sizeof(BFloat16)),
                 gnu::may_alias]] = std::uint16_t;
  return (Vector)(__builtin_convertvector(*reinterpret_cast<const Narrow*>(values), Wide) << 16);
#endif
}
inline float number(float value) {
  return value;
}
inline float number(BFloat16 value) {
  const std::uint32_t bits = std::uint32_t{value.bits} << 16;
  float result;
  __builtin_memcpy(&result, &bits, sizeof(result));
  return result;
}

float sum_of(Vector v) {
  using Indices [[gnu::vector_size(sizeof(Vector))]] = int;
  Indices lanes{};
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    lanes[lane] = static_cast<int>(lane);
  }
#pragma GCC unroll 4
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    v += shuffle(v, v, lanes ^ distance);
  }
  return v[0];
}

// Multiplies `rows` rows by `inputs` inputs.  `ahead`: the rows that follow are prefetched.
template <std::size_t inputs, typename Weight>
void multiply_few(const Weight* weights, std::size_t pitch, std::size_t rows, bool ahead,
                  const float* input, std::size_t width, float* products,
                  std::size_t product_pitch) {
  // Rows; if there are fewer than kGemvRows, the last one is read again.
  const Weight* row[kGemvRows];
  for (std::size_t r = 0; r < kGemvRows; ++r) {
    row[r] = weights + (r < rows ? r : rows - 1) * pitch;
  }
  const std::size_t next = kGemvRows * pitch;
  Vector sums[inputs][kGemvRows] = {};
  const std::size_t whole = width / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    Vector x[inputs];
#pragma GCC unroll 4
    for (std::size_t n = 0; n < inputs; ++n) {
      x[n] = load(input + n * width + i);
    }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kGemvRows; ++r) {
      if (ahead) {
        __builtin_prefetch(row[r] + next + i, 0, 2);
      }
      const Vector w = load(row[r] + i);
#pragma GCC unroll 4
      for (std::size_t n = 0; n < inputs; ++n) {
        sums[n][r] += w * x[n];
      }
    }
  }
#pragma GCC unroll 4
  for (std::size_t n = 0; n < inputs; ++n) {
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kGemvRows; ++r) {
      float product = sum_of(sums[n][r]);
      for (std::size_t rest = whole; rest < width; ++rest) {
        product += number(row[r][rest]) * input[n * width + rest];
      }
      if (r < rows) {
        products[n * product_pitch + r] = product;
      }
    }
  }
}

template <typename Weight>
void multiply(const Weight* weights, std::size_t pitch, std::size_t rows, const float* inputs,
              std::size_t count, std::size_t width, float* products, std::size_t product_pitch) {
  for (std::size_t n = 0; n < count;) {
    const auto some = [&](auto multiply_some, std::size_t inputs_at_once) {
      multiply_some(weights, pitch, rows, n == 0, inputs + n * width, width,
                    products + n * product_pitch, product_pitch);
      n += inputs_at_once;
    };
    if (count - n >= kInputs) {
      some(multiply_few<kInputs, Weight>, kInputs);
    } else if (count - n >= 2) {
      some(multiply_few<2, Weight>, 2);
    } else {
      some(multiply_few<1, Weight>, 1);
    }
  }
}

// Adds `rows` rows to the accumulators, which are read and written once.  Meanwhile `next` rows
// that follow are prefetched, kGemvRows at most.
template <int rows, typename Weight>
void accumulate_few(const Weight* const* row, const float* factors, std::size_t next,
                    std::size_t width, float* accumulators) {
  const Weight* ahead[kGemvRows];
  for (std::size_t r = 0; r < kGemvRows; ++r) {
    ahead[r] = row[r < next ? rows + r : 0];
  }
  const std::size_t whole = width / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    Vector* const to = reinterpret_cast<Vector*>(accumulators + i);
    Vector sum = *to;
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
      __builtin_prefetch(ahead[r] + i, 0, 2);
      sum += factors[r] * load(row[r] + i);
    }
    *to = sum;
  }
  for (std::size_t rest = whole; rest < width; ++rest) {
    for (int r = 0; r < rows; ++r) {
      accumulators[rest] += factors[r] * number(row[r][rest]);
    }
  }
}

template <typename Weight>
void accumulate(const Weight* const* rows, const float* factors, std::size_t count,
                std::size_t width, float* accumulators) {
  static_assert(kGemvRows == 4 && kGemvRows == VARIANT_MR);
  for (; count > kGemvRows; count -= kGemvRows, rows += kGemvRows, factors += kGemvRows) {
    accumulate_few<4>(rows, factors, count - kGemvRows, width, accumulators);
  }
  switch (count) {
    case 4:
      return accumulate_few<4>(rows, factors, 0, width, accumulators);
    case 3:
      return accumulate_few<3>(rows, factors, 0, width, accumulators);
    case 2:
      return accumulate_few<2>(rows, factors, 0, width, accumulators);
    case 1:
      return accumulate_few<1>(rows, factors, 0, width, accumulators);
  }
}

}  // namespace

namespace types {
using float32 = float;
using bfloat16 = BFloat16;
}  // namespace types

extern const GemvKernel<types::VARIANT_TYPE> kernel;
const GemvKernel<types::VARIANT_TYPE> kernel{InstructionSet::VARIANT_INSTRUCTION_SET, multiply,
                                             accumulate};

}  // namespace adafuse::VARIANT

// Kernels for processors with AVX-512 and its products of bytes (VNNI).
#include <immintrin.h>
#include <math.h>
#include "panels.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

static TARGET void quantize(const Activations *to, int zero, const float *x, int64_t first,
                            int64_t last) {
  const int64_t blocks = to->depth / BLOCK;
  for (int64_t row = first; row < last; row++) {
    for (int64_t block = 0; block < blocks; block++) {
      const int64_t at = row * to->depth + block * BLOCK, index = row * blocks + block;
      const __m512 a = _mm512_loadu_ps(x + at), b = _mm512_loadu_ps(x + at + 16);
      const float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
      const int numbers = _mm512_cmp_ps_mask(a, b, _CMP_ORD_Q) == 0xffff;
      const float scale = numbers ? most / 127.0f : NAN;
      const __m512 inverse = _mm512_set1_ps(most > 0 ? 127.0f / most : 0.0f);
      const __m512i p = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
      const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
      _mm_storeu_si128((__m128i *)(to->quants + at), _mm512_cvtsepi32_epi8(p));
      _mm_storeu_si128((__m128i *)(to->quants + at + 16), _mm512_cvtsepi32_epi8(q));
      const int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(p, q));
      to->scales[index] = scale;
      to->sums[index] = scale * (float)sum;
      to->zeros[index] = (int32_t)(0u - (uint32_t)zero * (uint32_t)sum);  // of numbers: no overflow
    }
  }
}

// The rows of a block of weights as unsigned bytes.
INLINE void unpack(const uint8_t *quants, int bits, __m512i w[8]) {
  if (bits == 8) {
    for (int j = 0; j < 8; j++) w[j] = _mm512_load_si512(quants + j * ROW_BYTES);
    return;
  }
  const __m512i low = _mm512_set1_epi8(15);
  for (int j = 0; j < 4; j++) {
    const __m512i both = _mm512_load_si512(quants + j * ROW_BYTES);
    w[j] = _mm512_and_si512(both, low);
    w[j + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
  }
}

INLINE void tile(const Panels *weights, int64_t panel, const Activations *x, int64_t first,
                 float *result, int64_t stride, int rows, int bits, int offsets) {
  const int64_t blocks = weights->blocks, depth = x->depth;
  const size_t bytes = (size_t)bits * ROW_BYTES;
  const uint8_t *factors = weights->bytes + (size_t)panel * weights->panel_bytes;
  const uint8_t *block = factors + weights->factor_bytes;
  const int8_t *quants = x->quants + first * depth;
  const float *scales = x->scales + first * blocks, *sums = x->sums + first * blocks;
  const int32_t *zeros = x->zeros + first * blocks;
  __m512 total[8];
  for (int row = 0; row < rows; row++) total[row] = _mm512_setzero_ps();
  for (int64_t b = 0; b < blocks; b++, block += bytes, factors += offsets ? 64 : 32) {
    if (rows == 1) {
      for (size_t at = 0; at < bytes; at += 64) _mm_prefetch((const char *)block + 2048 + at, _MM_HINT_T0);
    }
    __m512i w[8];
    unpack(block, bits, w);
    const __m512 d = _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)factors));
    __m512 m;
    if (offsets) m = _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(factors + 32)));
    for (int row = 0; row < rows; row++) {
      const int32_t *q = (const int32_t *)(quants + row * depth + b * BLOCK);
      __m512i sum = offsets ? _mm512_setzero_si512() : _mm512_set1_epi32(zeros[row * blocks + b]);
      for (int j = 0; j < 8; j++) sum = _mm512_dpbusd_epi32(sum, w[j], _mm512_set1_epi32(q[j]));
      const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scales[row * blocks + b]));
      total[row] = _mm512_fmadd_ps(scaled, d, total[row]);
      if (offsets) total[row] = _mm512_fmadd_ps(_mm512_set1_ps(sums[row * blocks + b]), m, total[row]);
    }
  }
  for (int row = 0; row < rows; row++) _mm512_storeu_ps(result + row * stride, total[row]);
}

INLINE void multiply_format(const Panels *weights, int64_t panel, const Activations *x,
                            int64_t first, int64_t last, float *result, int64_t stride, int bits,
                            int offsets) {
  int64_t row = first;
  for (; row + 8 <= last; row += 8, result += 8 * stride) {
    tile(weights, panel, x, row, result, stride, 8, bits, offsets);
  }
  switch (last - row) {
#define CASE(rows) \
  case rows:       \
    tile(weights, panel, x, row, result, stride, rows, bits, offsets); \
    break;
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)
#undef CASE
  }
}

static TARGET void multiply(const Panels *weights, int64_t panel, const Activations *x,
                            int64_t first, int64_t last, float *result, int64_t stride) {
  if (weights->bits == 8) {
    multiply_format(weights, panel, x, first, last, result, stride, 8, 0);
  } else if (weights->offsets) {
    multiply_format(weights, panel, x, first, last, result, stride, 4, 1);
  } else {
    multiply_format(weights, panel, x, first, last, result, stride, 4, 0);
  }
}

// A tile of dot products; each is summed in 16 lanes, whatever its neighbours.
INLINE void dots(const float *x, const float *a, int64_t depth, float scale, int rows, int ranks,
                 float *narrow, int64_t stride) {
  __m512 sums[16];
  for (int at = 0; at < rows * ranks; at++) sums[at] = _mm512_setzero_ps();
  for (int64_t k = 0; k < depth; k += 16) {
    for (int row = 0; row < rows; row++) {
      const __m512 v = _mm512_loadu_ps(x + row * depth + k);
      for (int rank = 0; rank < ranks; rank++) {
        const int at = row * ranks + rank;
        sums[at] = _mm512_fmadd_ps(v, _mm512_loadu_ps(a + rank * depth + k), sums[at]);
      }
    }
  }
  for (int row = 0; row < rows; row++) {
    for (int rank = 0; rank < ranks; rank++) {
      narrow[row * stride + rank] = scale * _mm512_reduce_add_ps(sums[row * ranks + rank]);
    }
  }
}

static TARGET void narrow(const float *x, int64_t rows, int64_t depth, const float *a, float scale,
                          int64_t first, int64_t last, float *result, int64_t stride) {
  for (int64_t row = 0; row < rows;) {
    const int few = rows - row < 4;
    for (int64_t rank = first; rank < last;) {
      const float *v = x + row * depth, *w = a + rank * depth;
      float *to = result + row * stride + rank;
      const int one = last - rank < 4;
      if (few && one) dots(v, w, depth, scale, 1, 1, to, stride);
      else if (few) dots(v, w, depth, scale, 1, 4, to, stride);
      else if (one) dots(v, w, depth, scale, 4, 1, to, stride);
      else dots(v, w, depth, scale, 4, 4, to, stride);
      rank += one ? 1 : 4;
    }
    row += few ? 1 : 4;
  }
}

// Adds what `count` ranks give.
INLINE void widen_ranks(const float *narrow, int64_t narrow_stride, const float *b, __m512i lanes,
                        int count, int64_t rows, __mmask16 mask, float *result, int64_t stride) {
  __m512 w[8];
  for (int at = 0; at < count; at++) {
    w[at] = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, lanes, b + at, 4);
  }
  for (int64_t row = 0; row < rows; row++, narrow += narrow_stride, result += stride) {
    __m512 sum = _mm512_maskz_loadu_ps(mask, result);
    for (int at = 0; at < count; at++) sum = _mm512_fmadd_ps(_mm512_set1_ps(narrow[at]), w[at], sum);
    _mm512_mask_storeu_ps(result, mask, sum);
  }
}

static TARGET void widen(const float *narrow, int64_t narrow_stride, const float *b, int64_t ranks,
                         int64_t rows, int64_t columns, float *result, int64_t stride) {
  const __mmask16 mask = (__mmask16)((1u << columns) - 1);
  const __m512i lanes = _mm512_mullo_epi32(
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
      _mm512_set1_epi32((int)ranks));
  int64_t rank = 0;
  for (; rank + 8 <= ranks; rank += 8) {
    widen_ranks(narrow + rank, narrow_stride, b + rank, lanes, 8, rows, mask, result, stride);
  }
  for (; rank < ranks; rank++) {
    widen_ranks(narrow + rank, narrow_stride, b + rank, lanes, 1, rows, mask, result, stride);
  }
}

const Kernels *avx512_kernels(void) {
  static const Kernels kernels = {"avx512-vnni", quantize, multiply, narrow, widen};
  const int has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vnni");
  return has ? &kernels : NULL;
}

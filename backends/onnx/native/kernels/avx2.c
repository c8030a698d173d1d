// Kernels for processors with AVX2. The numbers are those of avx512.c.
#include <immintrin.h>
#include <math.h>
#include "panels.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

static TARGET void quantize(const Activations *to, int zero, const float *x, int64_t first,
                            int64_t last) {
  const int64_t blocks = to->depth / BLOCK;
  const __m256 sign = _mm256_set1_ps(-0.0f);
  // What packing within halves of a register does to eight fours of elements, put back.
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (int64_t row = first; row < last; row++) {
    for (int64_t block = 0; block < blocks; block++) {
      const int64_t at = row * to->depth + block * BLOCK, index = row * blocks + block;
      __m256 v[4], most = _mm256_setzero_ps(), numbers = _mm256_cmp_ps(most, most, _CMP_ORD_Q);
      for (int j = 0; j < 4; j++) {
        v[j] = _mm256_loadu_ps(x + at + 8 * j);
        most = _mm256_max_ps(most, _mm256_andnot_ps(sign, v[j]));
        numbers = _mm256_and_ps(numbers, _mm256_cmp_ps(v[j], v[j], _CMP_ORD_Q));
      }
      __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
      m = _mm_max_ps(m, _mm_movehl_ps(m, m));
      m = _mm_max_ss(m, _mm_movehdup_ps(m));
      const float largest = _mm_cvtss_f32(m);
      const float scale = _mm256_movemask_ps(numbers) == 0xff ? largest / 127.0f : NAN;
      const __m256 inverse = _mm256_set1_ps(largest > 0 ? 127.0f / largest : 0.0f);
      __m256i q[4], sums = _mm256_setzero_si256();
      for (int j = 0; j < 4; j++) {
        q[j] = _mm256_cvtps_epi32(_mm256_mul_ps(v[j], inverse));
        sums = _mm256_add_epi32(sums, q[j]);
      }
      const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
      _mm256_storeu_si256((__m256i *)(to->quants + at), _mm256_permutevar8x32_epi32(packed, order));
      __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
      s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
      s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
      const int32_t sum = _mm_cvtsi128_si32(s);
      to->scales[index] = scale;
      to->sums[index] = scale * (float)sum;
      to->zeros[index] = (int32_t)(0u - (uint32_t)zero * (uint32_t)sum);  // of numbers: no overflow
    }
  }
}

// Half a panel, 8 columns. 4 bits: eight products of pairs fit into 16 bits, 8 * 2 * 15 * 127. 8 bits:
// so does one, of the distance from 128 and the activation with its sign; 128 * 127 * 2.
INLINE void tile(const Panels *weights, int64_t panel, int half, const Activations *x, int64_t first,
                 float *result, int64_t stride, int rows, int bits, int offsets) {
  const int64_t blocks = weights->blocks, depth = x->depth;
  const uint8_t *factors = weights->bytes + (size_t)panel * weights->panel_bytes;
  const uint8_t *block = factors + weights->factor_bytes + half * 32;
  factors += half * 16;
  const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  const __m256i middle = _mm256_set1_epi8(-128);
  __m256 total[4];
  for (int row = 0; row < rows; row++) total[row] = _mm256_setzero_ps();
  for (int64_t b = 0; b < blocks; b++, block += bits * ROW_BYTES, factors += offsets ? 64 : 32) {
    const __m256 d = _mm256_cvtph_ps(_mm_load_si128((const __m128i *)factors));
    __m256 m;
    if (offsets) m = _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(factors + 32)));
    __m256i sum[4];
    for (int row = 0; row < rows; row++) sum[row] = _mm256_setzero_si256();
    for (int j = 0; j < bits; j++) {
      const __m256i w = _mm256_load_si256((const __m256i *)(block + j * ROW_BYTES));
      if (bits == 8) {
        const __m256i centred = _mm256_xor_si256(w, middle), size = _mm256_abs_epi8(centred);
        for (int row = 0; row < rows; row++) {
          const int32_t *q = (const int32_t *)(x->quants + (first + row) * depth + b * BLOCK);
          const __m256i a = _mm256_sign_epi8(_mm256_set1_epi32(q[j]), centred);
          const __m256i pairs = _mm256_maddubs_epi16(size, a);
          sum[row] = _mm256_add_epi32(sum[row], _mm256_madd_epi16(pairs, ones));
        }
      } else {
        const __m256i p = _mm256_and_si256(w, low);
        const __m256i r = _mm256_and_si256(_mm256_srli_epi16(w, 4), low);
        for (int row = 0; row < rows; row++) {
          const int32_t *q = (const int32_t *)(x->quants + (first + row) * depth + b * BLOCK);
          const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(p, _mm256_set1_epi32(q[j])),
                                                 _mm256_maddubs_epi16(r, _mm256_set1_epi32(q[j + 4])));
          sum[row] = _mm256_add_epi16(sum[row], pairs);
        }
      }
    }
    for (int row = 0; row < rows; row++) {
      const int64_t index = (first + row) * blocks + b;
      __m256i all = sum[row];
      if (bits == 4) all = _mm256_madd_epi16(all, ones);
      if (bits == 4 && !offsets) all = _mm256_add_epi32(all, _mm256_set1_epi32(x->zeros[index]));
      const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(all), _mm256_set1_ps(x->scales[index]));
      total[row] = _mm256_fmadd_ps(scaled, d, total[row]);
      if (offsets) total[row] = _mm256_fmadd_ps(_mm256_set1_ps(x->sums[index]), m, total[row]);
    }
  }
  for (int row = 0; row < rows; row++) _mm256_storeu_ps(result + row * stride, total[row]);
}

INLINE void multiply_format(const Panels *weights, int64_t panel, const Activations *x,
                            int64_t first, int64_t last, float *result, int64_t stride, int bits,
                            int offsets) {
  for (int half = 0; half < 2; half++) {
    float *to = result + half * 8;
    int64_t row = first;
    for (; row + 4 <= last; row += 4, to += 4 * stride) {
      tile(weights, panel, half, x, row, to, stride, 4, bits, offsets);
    }
    switch (last - row) {
#define CASE(rows) \
  case rows:       \
    tile(weights, panel, half, x, row, to, stride, rows, bits, offsets); \
    break;
      CASE(1) CASE(2) CASE(3)
#undef CASE
    }
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
  __m256 sums[4][2];
  for (int at = 0; at < rows * ranks; at++) sums[at][0] = sums[at][1] = _mm256_setzero_ps();
  for (int64_t k = 0; k < depth; k += 16) {
    for (int row = 0; row < rows; row++) {
      for (int half = 0; half < 2; half++) {
        const __m256 v = _mm256_loadu_ps(x + row * depth + k + 8 * half);
        for (int rank = 0; rank < ranks; rank++) {
          const __m256 w = _mm256_loadu_ps(a + rank * depth + k + 8 * half);
          __m256 *sum = &sums[row * ranks + rank][half];
          *sum = _mm256_fmadd_ps(v, w, *sum);
        }
      }
    }
  }
  for (int row = 0; row < rows; row++) {
    for (int rank = 0; rank < ranks; rank++) {
      const __m256 both = _mm256_add_ps(sums[row * ranks + rank][1], sums[row * ranks + rank][0]);
      __m128 s = _mm_add_ps(_mm256_extractf128_ps(both, 1), _mm256_castps256_ps128(both));
      s = _mm_add_ps(s, _mm_movehl_ps(s, s));
      narrow[row * stride + rank] = scale * _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
    }
  }
}

static TARGET void narrow(const float *x, int64_t rows, int64_t depth, const float *a, float scale,
                          int64_t first, int64_t last, float *result, int64_t stride) {
  for (int64_t row = 0; row < rows;) {
    const int few = rows - row < 2;
    for (int64_t rank = first; rank < last;) {
      const float *v = x + row * depth, *w = a + rank * depth;
      float *to = result + row * stride + rank;
      const int one = last - rank < 2;
      if (few && one) dots(v, w, depth, scale, 1, 1, to, stride);
      else if (few) dots(v, w, depth, scale, 1, 2, to, stride);
      else if (one) dots(v, w, depth, scale, 2, 1, to, stride);
      else dots(v, w, depth, scale, 2, 2, to, stride);
      rank += one ? 1 : 2;
    }
    row += few ? 1 : 2;
  }
}

// Adds what `count` ranks give.
INLINE void widen_ranks(const float *narrow, int64_t narrow_stride, const float *b, __m256i lanes,
                        int count, int64_t rows, __m256i mask, float *result, int64_t stride) {
  __m256 w[8];
  for (int at = 0; at < count; at++) {
    w[at] = _mm256_mask_i32gather_ps(_mm256_setzero_ps(), b + at, lanes, _mm256_castsi256_ps(mask), 4);
  }
  for (int64_t row = 0; row < rows; row++, narrow += narrow_stride, result += stride) {
    __m256 sum = _mm256_maskload_ps(result, mask);
    for (int at = 0; at < count; at++) sum = _mm256_fmadd_ps(_mm256_set1_ps(narrow[at]), w[at], sum);
    _mm256_maskstore_ps(result, mask, sum);
  }
}

static TARGET void widen(const float *narrow, int64_t narrow_stride, const float *b, int64_t ranks,
                         int64_t rows, int64_t columns, float *result, int64_t stride) {
  const __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i lanes = _mm256_mullo_epi32(numbers, _mm256_set1_epi32((int)ranks));
  for (int64_t first = 0; first < columns; first += 8) {
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(columns - first)), numbers);
    const float *w = b + first * ranks;
    float *to = result + first;
    int64_t rank = 0;
    for (; rank + 8 <= ranks; rank += 8) {
      widen_ranks(narrow + rank, narrow_stride, w + rank, lanes, 8, rows, mask, to, stride);
    }
    for (; rank < ranks; rank++) {
      widen_ranks(narrow + rank, narrow_stride, w + rank, lanes, 1, rows, mask, to, stride);
    }
  }
}

const Kernels *avx2_kernels(void) {
  static const Kernels kernels = {"avx2", quantize, multiply, narrow, widen};
  const int has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  return has ? &kernels : NULL;
}

// Lays out weights in panels. Sessions over the same weights have the same panels.
#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "huge_memory.h"
#include "panels.h"

typedef struct Shared {
  Panels panels;
  const void *quants, *scales, *offsets;
  int users;
  struct Shared *next;
} Shared;

static Shared *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static __attribute__((target("f16c"))) uint16_t to_float16(float value) {
  return (uint16_t)_mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(value), 0), 0);
}
static __attribute__((target("f16c"))) float from_float16(uint16_t value) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(value)));
}

// `error` is how far from the value a float16 may lie. Whether it is as near.
static int as_float16(float value, float error, uint16_t *result) {
  *result = to_float16(value);
  return !isfinite(value) || fabsf(from_float16(*result) - value) <= error;
}

// Element k of a block, as the weights are stored: two of 4 bits in a byte, the even one low.
static uint8_t element(const uint8_t *block, int bits, int k) {
  return bits == 8 ? block[k] : (k & 1 ? block[k / 2] >> 4 : block[k / 2] & 15);
}

static int fill(Panels *p, const uint8_t *quants, const float *scales, const float *offsets) {
  const int parts = p->offsets ? 2 : 1;
  for (int64_t column = 0; column < p->columns; column++) {
    uint8_t *panel = p->bytes + (size_t)(column / WIDTH) * p->panel_bytes;
    const int64_t lane = column % WIDTH;
    for (int64_t block = 0; block < p->blocks; block++) {
      const int64_t at = column * p->blocks + block;
      const uint8_t *from = quants + (size_t)at * BLOCK * p->bits / 8;
      uint16_t *factors = (uint16_t *)panel + block * parts * WIDTH + lane;
      uint8_t *to = panel + p->factor_bytes + (size_t)block * p->bits * ROW_BYTES + lane * 4;
      if (!as_float16(scales[at], 0, factors)) return 0;
      if (p->offsets) {
        // Stored is m + 8d, rounded.
        const float zero = 8 * scales[at], m = offsets[at] - zero;
        if (!as_float16(m, (fabsf(zero) + fabsf(m)) * 0x1p-22f, factors + WIDTH)) return 0;
      }
      for (int j = 0; j < p->bits; j++, to += ROW_BYTES) {
        for (int i = 0; i < 4; i++) {
          const int k = 4 * j + i;
          to[i] = element(from, p->bits, k);
          if (p->bits == 4) to[i] |= element(from, 4, k + 16) << 4;
        }
      }
    }
  }
  return 1;
}

const Panels *share_panels(int64_t columns, int64_t depth, int bits, const uint8_t *quants,
                           const float *scales, const float *offsets) {
  pthread_mutex_lock(&lock);
  Shared *one = all;
  while (one && !(one->quants == quants && one->scales == scales && one->offsets == offsets && one->panels.columns == columns &&
                  one->panels.depth == depth && one->panels.bits == bits)) {
    one = one->next;
  }
  if (!one && (one = calloc(1, sizeof *one))) {
    Panels *p = &one->panels;
    *p = (Panels){.columns = columns, .depth = depth, .bits = bits, .offsets = offsets != NULL};
    p->panels = (columns + WIDTH - 1) / WIDTH;
    p->blocks = depth / BLOCK;
    const size_t factors = (size_t)p->blocks * WIDTH * sizeof(uint16_t) * (offsets ? 2 : 1);
    p->factor_bytes = (factors + ROW_BYTES - 1) / ROW_BYTES * ROW_BYTES;
    p->panel_bytes = p->factor_bytes + (size_t)p->blocks * bits * ROW_BYTES;
    const size_t bytes = (size_t)p->panels * p->panel_bytes;
    p->bytes = huge_allocate(bytes);
    if (p->bytes) memset(p->bytes, 0, bytes);
    if (!p->bytes || !fill(p, quants, scales, offsets)) {
      huge_free(p->bytes);
      free(one);
      one = NULL;
    } else {
      one->quants = quants;
      one->scales = scales;
      one->offsets = offsets;
      one->next = all;
      all = one;
    }
  }
  if (one) one->users++;
  pthread_mutex_unlock(&lock);
  return one ? &one->panels : NULL;
}

void leave_panels(const Panels *panels) {
  pthread_mutex_lock(&lock);
  for (Shared **at = &all; *at; at = &(*at)->next) {
    Shared *one = *at;
    if (&one->panels != panels) continue;
    if (--one->users == 0) {
      *at = one->next;
      huge_free(one->panels.bytes);
      free(one);
    }
    break;
  }
  pthread_mutex_unlock(&lock);
}

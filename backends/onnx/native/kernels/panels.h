// Weights in panels: what a product of blocks reads, in the order that it reads it.
//
// A matrix [columns, depth] in blocks of 32 along its depth is cut into panels of 16 columns (the last
// one filled up with zeros). A panel is
//
//   factors float16 [blocks, 1 or 2, 16]  d of each column, then m where the format has it
//   quants  uint8   [blocks, bits, 64]    16 columns x 4 elements in a row of 64 bytes
//
// of which the first is filled up to a multiple of 64 bytes.
//
// w = d * (q - zero) + m; zero is 8 or 128, and 0 where there are offsets. 4 bits: row j holds elements
// 4j .. 4j + 3 in its low halves and 16 + 4j .. 19 + 4j in its high ones. 8 bits: row j holds elements
// 4j .. 4j + 3. So a row is one register of 512 bits or two of 256, and what is multiplied with it is
// four neighbouring activations, repeated.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { BLOCK = 32, WIDTH = 16, ROW_BYTES = 64 };

typedef struct {
  int64_t columns, depth;  // of the matrix
  int bits;                // 4 or 8
  int offsets;             // whether there are any
  int64_t panels, blocks;  // columns / 16 rounded up, depth / 32
  size_t factor_bytes, panel_bytes;
  uint8_t *bytes;  // [panels, panel_bytes], at a multiple of 64
} Panels;

// The panels of weights stored as `backends/onnx/block_formats.ts` has it: quants uint8 [columns, blocks,
// 4 * bits], scales and offsets (m + 8d, or null) float32 [columns, blocks]. They are made once for the
// same quants, until everyone has left them. Null without memory, or when d or m is no float16.
const Panels *share_panels(int64_t columns, int64_t depth, int bits, const uint8_t *quants,
                           const float *scales, const float *offsets);
void leave_panels(const Panels *panels);

// Activations rounded to 8 bits in blocks of 32: x = d * q.
typedef struct {
  int64_t rows, depth;
  int8_t *quants;   // [rows, depth]
  float *scales;    // [rows, depth / 32]
  float *sums;      // [rows, depth / 32]; d times the sum of the block's q
  int32_t *zeros;   // [rows, depth / 32]; minus the sum of q times the zero of the weights' format
} Activations;

// Rows [first, last) of x [rows, depth], rounded to the nearest. A block that is not all finite has a
// scale that is not, so that what is computed from it shows it.
typedef void Quantize(const Activations *to, int zero, const float *x, int64_t first, int64_t last);

// Rows [first, last) of activations times a panel: 16 sums for each, `stride` floats apart.
typedef void Multiply(const Panels *weights, int64_t panel, const Activations *x, int64_t first,
                      int64_t last, float *result, int64_t stride);

// narrow[row, rank] = scale * x[row] . a[rank], for ranks [first, last) and all rows: x float32 [rows,
// depth], a [ranks, depth], depth a multiple of 16, `stride` the width of narrow.
typedef void Narrow(const float *x, int64_t rows, int64_t depth, const float *a, float scale,
                    int64_t first, int64_t last, float *narrow, int64_t stride);

// result[row, column] += narrow[row] . b[column], for up to 16 columns and all rows: narrow [rows, of
// which `ranks`], b [columns, ranks].
typedef void Widen(const float *narrow, int64_t narrow_stride, const float *b, int64_t ranks,
                   int64_t rows, int64_t columns, float *result, int64_t stride);

// What one kind of processor runs.
typedef struct {
  const char *name;
  Quantize *quantize;
  Multiply *multiply;
  Narrow *narrow;
  Widen *widen;
} Kernels;

// Null where the processor has not what it takes.
const Kernels *avx512_kernels(void);
const Kernels *avx2_kernels(void);

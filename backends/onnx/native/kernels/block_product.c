// The operator BlockProduct: x times the transpose of weights in blocks.
//
//   inputs:  x float32 [..., K]; quants, scales and offsets as share_panels takes them, constants
//            (scales again where there are no offsets); then an adapter's A [rank, K] and B [rows,
//            rank] for each output whose rank in the attribute `ranks` is not 0
//   outputs: float32 [..., rows] for each of the attribute `rows`, which N columns are split into
//
// An output with an adapter is x Wᵀ + scale * (x Aᵀ) Bᵀ, the second in float32.
//
// For x Wᵀ x is rounded to 8 bits in blocks of 32. A column's sums are taken in the order of its blocks,
// whatever is computed with it: a row of the result does not depend on the other rows.
#include <stdlib.h>
#include <string.h>
#include "onnxruntime.h"
#include "panels.h"
#include "block_product.h"
#include "scratch.h"

enum { MOST_PARTS = 64, MOST_AXES = 8 };
// Multiplications that are worth another thread, and those of one piece of work.
enum { SMALL = 200000, PIECE = 200000 };

typedef struct {
  OrtApi *api;
  const Kernels *kernels;
  const Panels *weights;
  size_t parts;
  int64_t rows[MOST_PARTS], ranks[MOST_PARTS], all_ranks;
  float scale;
} Product;

typedef struct {
  const Product *product;
  Activations x;
  const float *values;
  float *results[MOST_PARTS];
  const float *a[MOST_PARTS], *b[MOST_PARTS];
  float *narrow;  // [rows, all ranks]
  size_t pieces;
} Work;

static size_t share(size_t all, size_t pieces, size_t piece) { return all * piece / pieces; }

// Ranks that are computed together where there are so many.
enum { RANKS = 4 };

// x Aᵀ of a share of the ranks.
static void narrow_piece(const Work *work, size_t piece) {
  const Product *product = work->product;
  const size_t groups = ((size_t)product->all_ranks + RANKS - 1) / RANKS;
  const int64_t first = RANKS * (int64_t)share(groups, work->pieces, piece);
  const int64_t last = RANKS * (int64_t)share(groups, work->pieces, piece + 1);
  int64_t start = 0;
  for (size_t part = 0; part < product->parts; start += product->ranks[part++]) {
    const int64_t from = first > start ? first - start : 0;
    const int64_t to = last - start < product->ranks[part] ? last - start : product->ranks[part];
    if (from < to) {
      product->kernels->narrow(work->values, work->x.rows, work->x.depth, work->a[part],
                               product->scale, from, to, work->narrow + start, product->all_ranks);
    }
  }
}

static void prepare_piece(void *of, size_t piece) {
  const Work *work = of;
  const int64_t first = (int64_t)share((size_t)work->x.rows, work->pieces, piece);
  const int64_t last = (int64_t)share((size_t)work->x.rows, work->pieces, piece + 1);
  const Panels *weights = work->product->weights;
  const int zero = weights->offsets ? 0 : 1 << (weights->bits - 1);
  work->product->kernels->quantize(&work->x, zero, work->values, first, last);
  if (work->product->all_ranks > 0) narrow_piece(work, piece);
}

// Adds (x Aᵀ) Bᵀ to columns [start, end) of all.
static void adapt(const Work *work, int64_t start, int64_t end) {
  const Product *product = work->product;
  int64_t first = 0, rank = 0;
  for (size_t part = 0; part < product->parts; part++) {
    const int64_t rows = product->rows[part], ranks = product->ranks[part];
    const int64_t from = start > first ? start - first : 0;
    const int64_t to = end - first < rows ? end - first : rows;
    if (ranks > 0 && from < to) {
      product->kernels->widen(work->narrow + rank, product->all_ranks, work->b[part] + from * ranks,
                              ranks, work->x.rows, to - from, work->results[part] + from, rows);
    }
    first += rows;
    rank += ranks;
  }
}

// Rows of 16 sums where the panel lies in one part, else by way of a buffer.
static void multiply_panel(const Work *work, int64_t panel) {
  const Product *product = work->product;
  const int64_t start = panel * WIDTH, end = start + WIDTH;
  int64_t first = 0;
  for (size_t part = 0; part < product->parts; first += product->rows[part++]) {
    const int64_t stride = product->rows[part];
    if (first <= start && end <= first + stride) {
      product->kernels->multiply(product->weights, panel, &work->x, 0, work->x.rows,
                                 work->results[part] + (start - first), stride);
      return;
    }
  }
  enum { ROWS = 64 };
  float sums[ROWS * WIDTH];
  for (int64_t row = 0; row < work->x.rows; row += ROWS) {
    const int64_t last = row + ROWS < work->x.rows ? row + ROWS : work->x.rows;
    product->kernels->multiply(product->weights, panel, &work->x, row, last, sums, WIDTH);
    first = 0;
    for (size_t part = 0; part < product->parts; first += product->rows[part++]) {
      const int64_t stride = product->rows[part];
      const int64_t from = start > first ? start : first;
      const int64_t to = end < first + stride ? end : first + stride;
      for (int64_t r = row; r < last && from < to; r++) {
        memcpy(work->results[part] + r * stride + (from - first),
               sums + (r - row) * WIDTH + (from - start), (size_t)(to - from) * sizeof(float));
      }
    }
  }
}

static void multiply_piece(void *of, size_t piece) {
  const Work *work = of;
  const size_t panels = (size_t)work->product->weights->panels;
  const size_t end = share(panels, work->pieces, piece + 1);
  for (size_t panel = share(panels, work->pieces, piece); panel < end; panel++) {
    multiply_panel(work, (int64_t)panel);
    if (work->product->all_ranks > 0) adapt(work, (int64_t)panel * WIDTH, ((int64_t)panel + 1) * WIDTH);
  }
}

static OrtStatus *run(OrtApi *api, const OrtKernelContext *context, void (*piece)(void *, size_t),
                      Work *work, size_t pieces) {
  work->pieces = pieces;
  if (pieces > 1) return KernelContext_ParallelFor(context, piece, pieces, 0, work);
  piece(work, 0);
  return NULL;
}

static OrtStatus *compute(void *kernel, OrtKernelContext *context) {
  const Product *product = kernel;
  OrtApi *api = product->api;
  const Panels *weights = product->weights;
  OrtStatus *status;
  const OrtValue *input;
  OrtShape *shape;
  size_t axes;
  int64_t dims[MOST_AXES];
  if ((status = KernelContext_GetInput(context, 0, &input))) return status;
  if ((status = GetTensorTypeAndShape(input, &shape))) return status;
  status = GetDimensionsCount(shape, &axes);
  if (!status && axes >= 1 && axes <= MOST_AXES) status = GetDimensions(shape, dims, axes);
  ReleaseShape(shape);
  if (status) return status;
  if (axes < 1 || axes > MOST_AXES || dims[axes - 1] != weights->depth) {
    return CreateStatus(ORT_FAIL, "BlockProduct: x must be [..., K] with 1 to 8 axes");
  }
  Work work = {.product = product, .x = {.rows = 1, .depth = weights->depth}};
  for (size_t axis = 0; axis + 1 < axes; axis++) work.x.rows *= dims[axis];
  if ((status = GetTensorMutableData((OrtValue *)input, (void **)&work.values))) return status;
  for (size_t part = 0; part < product->parts; part++) {
    OrtValue *output;
    dims[axes - 1] = product->rows[part];
    if ((status = KernelContext_GetOutput(context, part, dims, axes, &output))) return status;
    if ((status = GetTensorMutableData(output, (void **)&work.results[part]))) return status;
  }
  size_t next = 4;
  for (size_t part = 0; part < product->parts; part++) {
    if (product->ranks[part] == 0) continue;
    const float **of[] = {&work.a[part], &work.b[part]};
    for (int at = 0; at < 2; at++) {
      if ((status = KernelContext_GetInput(context, next++, &input))) return status;
      if ((status = GetTensorMutableData((OrtValue *)input, (void **)of[at]))) return status;
    }
  }
  if (work.x.rows == 0) return NULL;

  const size_t rows = (size_t)work.x.rows, depth = (size_t)weights->depth;
  const size_t elements = rows * depth, blocks = rows * (size_t)weights->blocks;
  const size_t ranks = (size_t)product->all_ranks;
  Scratch *scratch = take_scratch(elements + blocks * 12 + rows * ranks * sizeof(float));
  if (!scratch) return CreateStatus(ORT_FAIL, "BlockProduct: no memory for activations");
  work.x.quants = (int8_t *)scratch->bytes;
  work.x.scales = (float *)(scratch->bytes + elements);
  work.x.sums = work.x.scales + blocks;
  work.x.zeros = (int32_t *)(work.x.sums + blocks);
  work.narrow = (float *)(work.x.zeros + blocks);
  const size_t most = (size_t)weights->panels, cost = elements * (size_t)weights->columns;
  const size_t pieces = cost < SMALL ? 1 : 2 * (1 + cost / (2 * PIECE));
  // A rank's product in float32 takes as long as those of eight columns of bytes.
  const size_t prepared = elements * (8 * ranks + 3);
  status = run(api, context, prepare_piece, &work, prepared < SMALL ? 1 : 8);
  if (!status) status = run(api, context, multiply_piece, &work, pieces < most ? pieces : most);
  give_scratch(scratch);
  return status;
}

static OrtStatus *constant(OrtApi *api, const OrtKernelInfo *info, size_t index, void **data) {
  int is_constant;
  const OrtValue *value;
  OrtStatus *status = KernelInfoGetConstantInput(info, index, &is_constant, &value);
  if (status) return status;
  if (!is_constant) return CreateStatus(ORT_FAIL, "BlockProduct: weights must be constants");
  return GetTensorMutableData((OrtValue *)value, data);
}

static OrtStatus *create(const OrtCustomOp *op, OrtApi *api, const OrtKernelInfo *info,
                         void **kernel) {
  const BlockProduct *of = (const BlockProduct *)op;
  int64_t columns, depth, bits, has_offsets;
  float scale;
  uint8_t *quants;
  float *scales, *offsets = NULL;
  OrtStatus *status;
  if ((status = KernelInfoGetAttribute_int64(info, "N", &columns))) return status;
  if ((status = KernelInfoGetAttribute_int64(info, "K", &depth))) return status;
  if ((status = KernelInfoGetAttribute_int64(info, "bits", &bits))) return status;
  if ((status = KernelInfoGetAttribute_int64(info, "offsets", &has_offsets))) return status;
  if ((status = KernelInfoGetAttribute_float(info, "scale", &scale))) return status;
  if ((status = constant(api, info, 1, (void **)&quants))) return status;
  if ((status = constant(api, info, 2, (void **)&scales))) return status;
  if (has_offsets && (status = constant(api, info, 3, (void **)&offsets))) return status;
  Product *product = calloc(1, sizeof *product);
  if (!product) return CreateStatus(ORT_FAIL, "BlockProduct: no memory");
  *product = (Product){.api = api, .kernels = of->kernels, .parts = MOST_PARTS, .scale = scale};
  size_t ranks = MOST_PARTS;
  status = KernelInfoGetAttributeArray_int64(info, "rows", product->rows, &product->parts);
  if (!status) status = KernelInfoGetAttributeArray_int64(info, "ranks", product->ranks, &ranks);
  int64_t all_rows = 0;
  for (size_t part = 0; !status && part < product->parts; part++) {
    all_rows += product->rows[part];
    product->all_ranks += product->ranks[part];
  }
  const int whole = depth % BLOCK == 0 && (bits == 4 || bits == 8) && ranks == product->parts;
  if (!status && !(whole && all_rows == columns)) {
    status = CreateStatus(ORT_FAIL, "BlockProduct: attributes that do not fit each other");
  }
  if (!status) {
    product->weights = share_panels(columns, depth, (int)bits, quants, scales, offsets);
    if (!product->weights) {
      status = CreateStatus(ORT_FAIL, "BlockProduct: no memory, or factors that are no float16");
    }
  }
  if (status) free(product);
  else *kernel = product;
  return status;
}

static void destroy(void *kernel) {
  Product *product = kernel;
  leave_panels(product->weights);
  free(product);
}

static const char *name(const OrtCustomOp *op) { return (void)op, "BlockProduct"; }
static const char *provider(const OrtCustomOp *op) { return (void)op, "CPUExecutionProvider"; }
static size_t inputs(const OrtCustomOp *op) { return (void)op, 5; }
static size_t outputs(const OrtCustomOp *op) { return (void)op, 1; }
static int input_type(const OrtCustomOp *op, size_t at) { return (void)op, at == 1 ? UINT8 : FLOAT32; }
static int output_type(const OrtCustomOp *op, size_t at) { return (void)op, (void)at, FLOAT32; }
static int input_kind(const OrtCustomOp *op, size_t at) { return (void)op, at == 4 ? VARIADIC : REQUIRED; }
static int output_kind(const OrtCustomOp *op, size_t at) { return (void)op, (void)at, VARIADIC; }
static int memory(const OrtCustomOp *op, size_t at) { return (void)op, (void)at, 0; }
static int none(const OrtCustomOp *op) { return (void)op, 0; }
static int one(const OrtCustomOp *op) { return (void)op, 1; }

void block_product(BlockProduct *product, const Kernels *kernels) {
  *product = (BlockProduct){
      .op = {.version = 17,
             .name = name,
             .provider = provider,
             .input_type = input_type,
             .input_count = inputs,
             .output_type = output_type,
             .output_count = outputs,
             .destroy = destroy,
             .input_kind = input_kind,
             .output_kind = output_kind,
             .input_memory = memory,
             .variadic_input_least = none,
             .variadic_input_alike = one,
             .variadic_output_least = one,
             .variadic_output_alike = one,
             .create = create,
             .compute = compute},
      .kernels = kernels};
}

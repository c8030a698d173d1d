#pragma once
#include "onnxruntime.h"
#include "panels.h"

typedef struct {
  OrtCustomOp op;  // first, so that it is found again from it
  const Kernels *kernels;
} BlockProduct;

void block_product(BlockProduct *product, const Kernels *kernels);

// The part of onnxruntime's C interface that custom operators need. The table of functions only grows,
// so that a place in it never changes its meaning (onnxruntime_c_api.h, struct OrtApi).
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef void *const OrtApi;  // a table of functions
typedef struct OrtStatus OrtStatus;
typedef struct OrtValue OrtValue;
typedef struct OrtShape OrtShape;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtDomain OrtDomain;

enum { ORT_FAIL = 1 };
enum { FLOAT32 = 1, UINT8 = 2 };                  // element types
enum { REQUIRED = 0, VARIADIC = 2 };  // inputs and outputs

#define ORT(at, result, ...) ((result(*)(__VA_ARGS__))api[at])
#define CreateStatus ORT(0, OrtStatus *, int, const char *)
#define CreateCustomOpDomain ORT(26, OrtStatus *, const char *, OrtDomain **)
#define CustomOpDomain_Add ORT(27, OrtStatus *, OrtDomain *, const struct OrtCustomOp *)
#define GetTensorMutableData ORT(51, OrtStatus *, OrtValue *, void **)
#define GetDimensionsCount ORT(61, OrtStatus *, const OrtShape *, size_t *)
#define GetDimensions ORT(62, OrtStatus *, const OrtShape *, int64_t *, size_t)
#define GetTensorTypeAndShape ORT(65, OrtStatus *, const OrtValue *, OrtShape **)
#define KernelInfoGetAttribute_float ORT(85, OrtStatus *, const OrtKernelInfo *, const char *, float *)
#define KernelInfoGetAttribute_int64 ORT(86, OrtStatus *, const OrtKernelInfo *, const char *, int64_t *)
#define KernelContext_GetInput ORT(90, OrtStatus *, const OrtKernelContext *, size_t, const OrtValue **)
#define KernelContext_GetOutput \
  ORT(91, OrtStatus *, OrtKernelContext *, size_t, const int64_t *, size_t, OrtValue **)
#define ReleaseShape ORT(99, void, OrtShape *)
#define ReleaseCustomOpDomain ORT(101, void, OrtDomain *)
#define KernelInfoGetAttributeArray_int64 \
  ORT(163, OrtStatus *, const OrtKernelInfo *, const char *, int64_t *, size_t *)
#define KernelInfoGetConstantInput \
  ORT(249, OrtStatus *, const OrtKernelInfo *, size_t, int *, const OrtValue **)
#define KernelContext_ParallelFor \
  ORT(274, OrtStatus *, const OrtKernelContext *, void (*)(void *, size_t), size_t, size_t, void *)

// Version 17 of the interface.
typedef struct OrtCustomOp {
  uint32_t version;
  void *create_kernel;
  const char *(*name)(const struct OrtCustomOp *);
  const char *(*provider)(const struct OrtCustomOp *);
  int (*input_type)(const struct OrtCustomOp *, size_t);
  size_t (*input_count)(const struct OrtCustomOp *);
  int (*output_type)(const struct OrtCustomOp *, size_t);
  size_t (*output_count)(const struct OrtCustomOp *);
  void *compute_kernel;
  void (*destroy)(void *);
  int (*input_kind)(const struct OrtCustomOp *, size_t);
  int (*output_kind)(const struct OrtCustomOp *, size_t);
  int (*input_memory)(const struct OrtCustomOp *, size_t);
  int (*variadic_input_least)(const struct OrtCustomOp *);
  int (*variadic_input_alike)(const struct OrtCustomOp *);
  int (*variadic_output_least)(const struct OrtCustomOp *);
  int (*variadic_output_alike)(const struct OrtCustomOp *);
  OrtStatus *(*create)(const struct OrtCustomOp *, OrtApi *, const OrtKernelInfo *, void **);
  OrtStatus *(*compute)(void *, OrtKernelContext *);
  void *infer_shape, *start_version, *end_version;
  void *may_inplace, *release_may_inplace, *alias_map, *release_alias_map;
} OrtCustomOp;

// What the library gives: the kinds of processors this one can be used as, and the operators.
#include <string.h>
#include "block_product.h"
#include "scratch.h"

#define EXPORT __attribute__((visibility("default")))

static const Kernels *kind(int index) {
  const Kernels *all[] = {avx512_kernels(), avx2_kernels()};
  for (int at = 0; at < 2; at++) {
    if (all[at] && index-- == 0) return all[at];
  }
  return NULL;
}

// Names of the kernels that this processor runs, the fastest first; null after the last.
EXPORT const char *sppo_kernels(int index) {
  const Kernels *kernels = kind(index);
  return kernels ? kernels->name : NULL;
}

// Makes the domain `sppo` of operators with the kernels of that name. It must outlive its sessions.
EXPORT OrtStatus *sppo_domain(OrtApi *api, const char *name, OrtDomain **domain) {
  static BlockProduct products[2];
  const Kernels *kernels = NULL;
  int at = 0;
  while ((kernels = kind(at)) && strcmp(kernels->name, name) != 0) at++;
  if (!kernels) return CreateStatus(ORT_FAIL, "this processor has no such kernels");
  block_product(&products[at], kernels);
  OrtStatus *status = CreateCustomOpDomain("sppo", domain);
  return status ? status : CustomOpDomain_Add(*domain, &products[at].op);
}

// Frees what runs kept for the next ones. Only when none is under way.
EXPORT void sppo_trim(void) { free_scratch(); }

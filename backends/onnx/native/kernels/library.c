// What the library gives: the kinds of processors this one can be used as, and the operators.
#include <pthread.h>
#include <string.h>
#include "block_product.h"
#include "scratch.h"

#define EXPORT __attribute__((visibility("default")))

// The operators of each kind that this processor runs, the fastest first. Sessions hold them, on any
// thread, so they are made once.
static BlockProduct products[2];
static int kinds;
static pthread_once_t made = PTHREAD_ONCE_INIT;

static void make(void) {
  const Kernels *all[] = {avx512_kernels(), avx2_kernels()};
  for (int at = 0; at < 2; at++) {
    if (all[at]) block_product(&products[kinds++], all[at]);
  }
}

// Names of the kernels that this processor runs, the fastest first; null after the last.
EXPORT const char *sppo_kernels(int index) {
  pthread_once(&made, make);
  return index < kinds ? products[index].kernels->name : NULL;
}

// Makes the domain `sppo` of operators with the kernels of that name. It must outlive the creation of
// its sessions, and this library the sessions.
EXPORT OrtStatus *sppo_domain(OrtApi *api, const char *name, OrtDomain **domain) {
  pthread_once(&made, make);
  for (int at = 0; at < kinds; at++) {
    if (strcmp(products[at].kernels->name, name) != 0) continue;
    OrtStatus *status = CreateCustomOpDomain("sppo", domain);
    if (!status && (status = CustomOpDomain_Add(*domain, &products[at].op))) {
      ReleaseCustomOpDomain(*domain);
    }
    return status;
  }
  return CreateStatus(ORT_FAIL, "this processor has no such kernels");
}

// Frees what runs kept for the next ones.
EXPORT void sppo_trim(void) { free_scratch(); }

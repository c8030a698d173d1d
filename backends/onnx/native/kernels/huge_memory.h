// Memory for weights, in large pages where the system has them: a step of decoding reads every weight
// once, and with small pages waits for their addresses. Not for use by several threads at a time.
#pragma once
#include <stddef.h>

// Bytes at a multiple of 64; null when there are none.
void *huge_allocate(size_t bytes);
void huge_free(void *bytes);

// Weights lie one behind the other in chunks; a chunk is freed with the last of its weights, and until
// then what others of it took is not used again: weights of a model come and go together.
#include "huge_memory.h"
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 2 << 20, CHUNK = 32 << 20, ALIGNMENT = 64 };

typedef struct Chunk {
  uint8_t *bytes;
  size_t size, used;
  size_t users;
  struct Chunk *next;
} Chunk;

static Chunk *chunks;  // the newest first: the only one that is filled further

void *huge_allocate(size_t bytes) {
  bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (!chunks || chunks->size - chunks->used < bytes) {
    Chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk) return NULL;
    chunk->size = bytes > CHUNK ? (bytes + PAGE - 1) / PAGE * PAGE : CHUNK;
    chunk->bytes = aligned_alloc(PAGE, chunk->size);
    if (!chunk->bytes) {
      free(chunk);
      return NULL;
    }
    madvise(chunk->bytes, chunk->size, MADV_HUGEPAGE);  // small pages serve as well, slower
    chunk->next = chunks;
    chunks = chunk;
  }
  void *result = chunks->bytes + chunks->used;
  chunks->used += bytes;
  chunks->users++;
  return result;
}

void huge_free(void *bytes) {
  for (Chunk **at = &chunks; *at; at = &(*at)->next) {
    Chunk *chunk = *at;
    if ((uint8_t *)bytes < chunk->bytes || (uint8_t *)bytes >= chunk->bytes + chunk->size) continue;
    if (--chunk->users == 0) {
      *at = chunk->next;
      free(chunk->bytes);
      free(chunk);
    }
    return;
  }
}

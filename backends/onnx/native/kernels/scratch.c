#include "scratch.h"
#include <pthread.h>
#include <stdlib.h>

static Scratch *spare;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

Scratch *take_scratch(size_t size) {
  pthread_mutex_lock(&lock);
  Scratch *one = spare;
  if (one) spare = one->next;
  pthread_mutex_unlock(&lock);
  if (!one && !(one = calloc(1, sizeof *one))) return NULL;
  if (one->size < size) {
    free(one->bytes);
    one->size = (size + 4095) / 4096 * 4096;
    if (!(one->bytes = aligned_alloc(64, one->size))) {
      free(one);
      return NULL;
    }
  }
  return one;
}

void give_scratch(Scratch *one) {
  pthread_mutex_lock(&lock);
  one->next = spare;
  spare = one;
  pthread_mutex_unlock(&lock);
}

void free_scratch(void) {
  pthread_mutex_lock(&lock);
  while (spare) {
    Scratch *one = spare;
    spare = one->next;
    free(one->bytes);
    free(one);
  }
  pthread_mutex_unlock(&lock);
}

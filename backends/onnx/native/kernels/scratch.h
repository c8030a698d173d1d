// Memory for the time of a run of an operator. What is given back serves the next one, so that there is
// as much as runs at a time.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct Scratch {
  uint8_t *bytes;  // at a multiple of 64
  size_t size;
  struct Scratch *next;
} Scratch;

// At least so many bytes; null when there are none.
Scratch *take_scratch(size_t size);
void give_scratch(Scratch *one);
// Frees what was given back.
void free_scratch(void);

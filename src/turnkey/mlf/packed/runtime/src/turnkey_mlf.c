/*
 * Turnkey's mini runtime: registry look-up, last error, and a workspace that is a stack over a block of the caller's.
 *
 * Only the graph executor and code of other generators need it. It has one block for the whole program, so that it
 * serves one thread; tvmgen_<model>_run uses none of this and is re-entrant.
 */
#include "turnkey_mlf.h"

#include <string.h>

static const char *last_error = "";

void TVMAPISetLastError(const char *message) { last_error = message != NULL ? message : ""; }

const char *TVMGetLastError(void) { return last_error; }

int turnkey_mlf_find(const TVMModule *module, const char *name, TVMBackendPackedCFunc *found) {
  uint16_t count = 0;
  uint16_t index;
  const char *names;
  if (module == NULL || module->registry == NULL || name == NULL || found == NULL) {
    return TURNKEY_MLF_NO_FUNCTION;
  }
  names = module->registry->names;
  memcpy(&count, names, sizeof(count));
  names += sizeof(count);
  for (index = 0; index < count; ++index) {
    if (strcmp(names, name) == 0) {
      *found = module->registry->funcs[index];
      return TURNKEY_MLF_OK;
    }
    names += strlen(names) + 1;
  }
  TVMAPISetLastError("no function of that name");
  return TURNKEY_MLF_NO_FUNCTION;
}

#define ALIGNMENT 64u

typedef struct {
  size_t before;   /* top of the stack before this piece */
  size_t previous; /* start of the piece below */
} Piece;

static uint8_t *block = NULL;
static size_t block_bytes = 0;
static size_t top = 0;
static size_t last = 0; /* start of the topmost piece */
static size_t high_water = 0;

void turnkey_mlf_set_workspace(void *memory, size_t bytes) {
  size_t skip = (size_t)(-(uintptr_t)memory % ALIGNMENT);
  block = bytes > skip ? (uint8_t *)memory + skip : NULL;
  block_bytes = bytes > skip ? bytes - skip : 0;
  top = 0;
  last = 0;
  high_water = 0;
}

size_t turnkey_mlf_workspace_high_water(void) { return high_water; }

void *TVMBackendAllocWorkspace(int device_type, int device_id, uint64_t bytes, int dtype_code, int dtype_bits) {
  size_t room = block_bytes - top;
  size_t size;
  Piece piece;
  (void)device_type;
  (void)device_id;
  (void)dtype_code;
  (void)dtype_bits;
  if (block == NULL || bytes > room || room - (size_t)bytes < 2u * ALIGNMENT) {
    TVMAPISetLastError("the workspace is full");
    return NULL;
  }
  size = (((size_t)bytes + ALIGNMENT - 1u) / ALIGNMENT + 1u) * ALIGNMENT;
  piece.before = top;
  piece.previous = last;
  memcpy(block + top, &piece, sizeof(piece));
  last = top;
  top += size;
  if (top > high_water) {
    high_water = top;
  }
  return block + piece.before + ALIGNMENT;
}

int TVMBackendFreeWorkspace(int device_type, int device_id, void *memory) {
  Piece piece;
  uint8_t *start = (uint8_t *)memory;
  (void)device_type;
  (void)device_id;
  if (block == NULL || top == 0 || start != block + last + ALIGNMENT) {
    TVMAPISetLastError("workspace was given back in another order than it was taken");
    return TURNKEY_MLF_BAD_ORDER;
  }
  memcpy(&piece, block + last, sizeof(piece));
  top = piece.before;
  last = piece.previous;
  return TURNKEY_MLF_OK;
}

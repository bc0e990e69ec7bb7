"""The stack that a run really touches: a thread whose stack was filled with a pattern, and what is left of it.

The thread's first function takes a place on its stack, fills everything below, calls the module and looks for the
lowest byte that changed. Functions of the C library are resolved by an earlier call, so that the dynamic linker's own
frames do not count.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from turnkey.mlf.aligned import GuardedBlock
from turnkey.mlf.helper_library import helper_library
from turnkey.mlf.runner import ModuleRunner
from turnkey.mlf.stack import worst_case_stack

if TYPE_CHECKING:
    import numpy as np

_STACK_BYTES = 1 << 20
_PAGE_BYTES = 4096

_PROGRAM = """\
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN 0xA5

struct job {
  int32_t (*entry)(void *, void *, void *);
  void **arguments;
  volatile uint8_t *bottom;
  int64_t used;
};

/* The frame of this function ends where alloca's block begins: calls from here grow downwards from that place. */
static void *work(void *given) {
  struct job *job = given;
  volatile uint8_t *top = __builtin_alloca(64);
  volatile uint8_t *place;
  for (place = job->bottom; place < top; ++place) *place = PATTERN;
  if (job->entry(job->arguments[0], job->arguments[1], job->arguments[2]) != 0) return NULL;
  for (place = job->bottom; place < top && *place == PATTERN; ++place) {}
  job->used = top - place;
  return NULL;
}

int64_t painted(int32_t (*entry)(void *, void *, void *), void **arguments, uint8_t *stack, size_t size);
int64_t painted(int32_t (*entry)(void *, void *, void *), void **arguments, uint8_t *stack, size_t size) {
  struct job job = {entry, arguments, stack, -1};
  pthread_attr_t attributes;
  pthread_t thread;
  if (pthread_attr_init(&attributes) != 0) return -1;
  if (pthread_attr_setstack(&attributes, stack, size) == 0 &&
      pthread_create(&thread, &attributes, work, &job) == 0) {
    pthread_join(thread, NULL);
  }
  pthread_attr_destroy(&attributes);
  return job.used;
}
"""


def painted_stack(runner: ModuleRunner, sample: Mapping[str, np.ndarray]) -> int | None:
    """Bytes of stack that one run wrote below its caller; None where threads cannot be given a stack.

    Raises:
        UnsupportedInModelLibraryFormatError: the program around it does not compile.
    """
    if os.name != "posix":
        return None
    flags = ("-O1", "-pthread", "-fno-sanitize=all")
    function = helper_library("painted", _PROGRAM, runner.build.compiler, flags=flags, link=("-pthread",)).painted
    function.restype = ctypes.c_int64
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    call = runner.prepare(sample)
    runner.call(call)
    call = runner.prepare(sample)  # where inputs lie in the workspace, the first call wrote over them
    arguments = (ctypes.c_void_p * 3)(*(ctypes.cast(pointer, ctypes.c_void_p) for pointer in call.arguments))
    known = worst_case_stack(runner.build.call_graph, runner.module.name) or 0
    size = -(-(_STACK_BYTES + 2 * known) // _PAGE_BYTES) * _PAGE_BYTES
    stack = GuardedBlock(size, align=_PAGE_BYTES)
    used = int(function(runner.address, arguments, stack.address, size))
    return used if used >= 0 else None

/*
 * Turnkey's mini runtime for the Model Library Format: the data layouts of the graph executor's calling convention.
 *
 * A program that calls tvmgen_<model>_run needs nothing of this file. It describes interfaces; if the headers of
 * DLPack or of another runtime were included first, nothing here is defined twice.
 */
#ifndef TURNKEY_MLF_H_
#define TURNKEY_MLF_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef DLPACK_DLPACK_H_
typedef struct {
  int32_t device_type; /* 1 = cpu */
  int32_t device_id;
} DLDevice;

typedef struct {
  uint8_t code; /* 0 int, 1 uint, 2 float, 4 bfloat, 6 bool */
  uint8_t bits;
  uint16_t lanes;
} DLDataType;

typedef struct {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape;
  int64_t *strides; /* NULL: compact, row-major */
  uint64_t byte_offset;
} DLTensor;
#endif

#ifndef TVM_RUNTIME_C_RUNTIME_API_H_
typedef union {
  int64_t v_int64;
  double v_float64;
  void *v_handle;
  const char *v_str;
  DLDataType v_type;
  DLDevice v_device;
} TVMValue;

enum { kTVMDLTensorHandle = 7, kTVMNDArrayHandle = 13 };

typedef int (*TVMBackendPackedCFunc)(TVMValue *args, int *type_codes, int num_args, TVMValue *out_value,
                                     int *out_tcode, void *resource_handle);
#endif

#ifndef TVM_RUNTIME_CRT_FUNC_REGISTRY_H_
/* names: number of functions (u16, target byte order), each name with its NUL, a final NUL. */
typedef struct TVMFuncRegistry {
  const char *names;
  const TVMBackendPackedCFunc *funcs;
} TVMFuncRegistry;
#endif

#ifndef TVM_RUNTIME_CRT_MODULE_H_
typedef struct TVMModule {
  const TVMFuncRegistry *registry;
} TVMModule;
#endif

enum {
  TURNKEY_MLF_OK = 0,
  TURNKEY_MLF_NO_FUNCTION = -1,
  TURNKEY_MLF_BAD_ORDER = -3
};

/* The module that holds the packed functions of everything that was linked. */
const TVMModule *TVMSystemLibEntryPoint(void);

/* Finds a packed function by name; 0, or TURNKEY_MLF_NO_FUNCTION. */
int turnkey_mlf_find(const TVMModule *module, const char *name, TVMBackendPackedCFunc *found);

/* Gives the block from which TVMBackendAllocWorkspace serves; needed only by code of other generators. */
void turnkey_mlf_set_workspace(void *block, size_t bytes);

/* The most bytes that were in use at once since the block was given. */
size_t turnkey_mlf_workspace_high_water(void);

/* Last in, first out. NULL when the block is full. */
void *TVMBackendAllocWorkspace(int device_type, int device_id, uint64_t bytes, int dtype_code, int dtype_bits);
int TVMBackendFreeWorkspace(int device_type, int device_id, void *memory);

/* The text of the last error; an empty string if there was none. */
void TVMAPISetLastError(const char *message);
const char *TVMGetLastError(void);

#ifdef __cplusplus
}
#endif

#endif /* TURNKEY_MLF_H_ */

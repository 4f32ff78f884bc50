// Programs that break the driver's rules in one way each, and some that keep them. The argument says which.
#include <stdio.h>
#include <string.h>

typedef unsigned long long address;
typedef void *handle;

int cuInit(unsigned);
int cuDevicePrimaryCtxRetain(handle *, int);
int cuCtxSetCurrent(handle);
int cuStreamCreate(handle *, unsigned);
int cuStreamSynchronize(handle);
int cuStreamWaitEvent(handle, handle, unsigned);
int cuEventCreate(handle *, unsigned);
int cuEventRecord(handle, handle);
int cuMemAllocAsync(address *, size_t, handle);
int cuMemFreeAsync(address, handle);
int cuMemsetD8Async(address, unsigned char, size_t, handle);
int cuMemcpyHtoDAsync_v2(address, const void *, size_t, handle);
int cuModuleLoadData(handle *, const void *);
int cuModuleGetFunction(handle *, handle, const char *);
int cuFuncSetAttribute(handle, int, int);
int cuLaunchKernel(handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                   handle, void **, void **);
int cublasCreate_v2(handle *);
int cublasSetStream_v2(handle, handle);
int cublasGemmEx(handle, int, int, int, int, int, const void *, const void *, int, int, const void *,
                 int, int, const void *, void *, int, int, int, int);

int cuMemcpyDtoHAsync_v2(void *, address, size_t, handle);
int cublasLtCreate(handle *);
int cublasLtMatrixLayoutCreate(handle *, int, unsigned long long, unsigned long long, long long);
int cublasLtMatmulDescCreate(handle *, int, int);
int cublasLtMatmulDescSetAttribute(handle, int, const void *, size_t);
int cublasLtMatmul(handle, handle, const void *, const void *, handle, const void *, handle,
                   const void *, const void *, handle, void *, handle, const void *, void *, size_t,
                   handle);

enum { BYTES = 4096, F32 = 0, BF16 = 14, COMPUTE_32F = 68, NON_BLOCKING = 1, MAX_SHARED = 8 };

static handle context[2], streams[2], event;
static address memory;

static handle kernel(const char *module, const char *name) {
  char image[100];
  handle loaded, function = NULL;
  snprintf(image, sizeof image, "// CUDA stand-in: quintet %s sm_75", module);
  cuModuleLoadData(&loaded, image);
  cuModuleGetFunction(&function, loaded, name);
  return function;
}

// `zero` takes an address and a number of words.
static int zero(address to, unsigned words, unsigned threads, unsigned shared, handle stream) {
  void *parameters[] = {&to, &words};
  return cuLaunchKernel(kernel("elementwise", "zero"), 1, 1, 1, threads, 1, 1, shared, stream,
                        parameters, NULL);
}

// `cast_f32_f32` takes two addresses, a number of elements, and whether they are aligned.
static int cast(address from, address to, unsigned elements, unsigned vector) {
  void *parameters[] = {&from, &to, &elements, &vector};
  return cuLaunchKernel(kernel("elementwise", "cast_f32_f32"), 1, 1, 1, 256, 1, 1, 0, streams[0],
                        parameters, NULL);
}

// A product of two 8 x 8 matrices.
static int product(address a, address b, address c, int stride, int format) {
  handle blas;
  const float one = 1, none = 0;
  cublasCreate_v2(&blas);
  cublasSetStream_v2(blas, streams[0]);
  return cublasGemmEx(blas, 0, 0, 8, 8, 8, &one, (void *)a, format, stride, (void *)b, format, 8,
                      &none, (void *)c, format, 8, COMPUTE_32F, -1);
}

// D = A^T B by cublasLt, [2, 4] x [4, 3], with an epilogue; 0 if D and the gradient of the bias are as expected.
static int with_epilogue(unsigned epilogue) {
  enum { TRANSA = 3, EPILOGUE = 7, BIAS_POINTER = 8, BIAS = 4, BGRADA = 256 };
  // In memory one behind the other: A [4, 2], B [4, 3], the bias, D [2, 3].
  enum { A = 0, B = 8, OF_BIAS = 20, D = 23, ALL = 29 };
  const int transposed = 1;
  const float one = 1, none = 0;
  float before[ALL], after[ALL];
  for (int i = 0; i < ALL; ++i) before[i] = i % 7 - 3;
  cuMemcpyHtoDAsync_v2(memory, before, sizeof before, streams[0]);
  address bias = memory + 4 * OF_BIAS;
  void *a = (void *)memory, *b = (void *)(memory + 4 * B), *d = (void *)(memory + 4 * D);
  handle lt, operation, of_a, of_b, of_d;
  cublasLtCreate(&lt);
  cublasLtMatmulDescCreate(&operation, COMPUTE_32F, F32);
  cublasLtMatmulDescSetAttribute(operation, TRANSA, &transposed, 4);
  cublasLtMatmulDescSetAttribute(operation, EPILOGUE, &epilogue, 4);
  cublasLtMatmulDescSetAttribute(operation, BIAS_POINTER, &bias, 8);
  cublasLtMatrixLayoutCreate(&of_a, F32, 4, 2, 4);
  cublasLtMatrixLayoutCreate(&of_b, F32, 4, 3, 4);
  cublasLtMatrixLayoutCreate(&of_d, F32, 2, 3, 2);
  if (cublasLtMatmul(lt, operation, &one, a, of_a, b, of_b, &none, d, of_d, d, of_d, NULL, NULL, 0,
                     streams[0]))
    return 1;
  cuMemcpyDtoHAsync_v2(after, memory, sizeof after, streams[0]);
  for (int column = 0; column < 3; ++column)
    for (int row = 0; row < 2; ++row) {
      float sum = epilogue == BIAS ? before[OF_BIAS + row] : 0;
      for (int k = 0; k < 4; ++k) sum += before[A + 4 * row + k] * before[B + 4 * column + k];
      if (after[D + 2 * column + row] != sum) return 2;
    }
  for (int i = 0; epilogue != BIAS && i < (epilogue == BGRADA ? 2 : 3); ++i) {
    float sum = 0;
    for (int k = 0; k < 4; ++k) sum += before[(epilogue == BGRADA ? A : B) + 4 * i + k];
    if (after[OF_BIAS + i] != sum) return 3;
  }
  return 0;
}

static void order(int by_event) {
  zero(memory, 100, 256, 0, streams[0]);
  if (by_event) {
    cuEventRecord(event, streams[0]);
    cuStreamWaitEvent(streams[1], event, 0);
  }
}

static int run(const char *mistake) {
#define IS(name) if (!strcmp(mistake, name))
  IS("none") return zero(memory, BYTES / 4, 256, 0, streams[0]);
  IS("beyond the end of a kernel's memory") return zero(memory, BYTES / 4 + 1, 256, 0, streams[0]);
  IS("use after free") {
    cuMemFreeAsync(memory, streams[0]);
    return zero(memory, 1, 256, 0, streams[0]);
  }
  IS("freed twice") {
    cuMemFreeAsync(memory, streams[0]);
    return cuMemFreeAsync(memory, streams[0]);
  }
  IS("an address of nothing") return zero(64, 1, 256, 0, streams[0]);
  IS("no event") { order(0); return zero(memory, 1, 256, 0, streams[1]); }
  IS("an event") { order(1); return zero(memory, 1, 256, 0, streams[1]); }
  IS("the host waits") {
    order(0);
    cuStreamSynchronize(streams[0]);
    return zero(memory, 1, 256, 0, streams[1]);
  }
  IS("other bytes") {
    zero(memory, 100, 256, 0, streams[0]);
    order(1);
    zero(memory, 100, 256, 0, streams[0]);
    return zero(memory + 400, 100, 256, 0, streams[1]);
  }
  IS("the same bytes after the event") {
    order(1);
    zero(memory, 100, 256, 0, streams[0]);
    return zero(memory, 100, 256, 0, streams[1]);
  }
  IS("freed while in use") { order(1); zero(memory, 1, 256, 0, streams[1]); return cuMemFreeAsync(memory, streams[0]); }
  IS("too much is uploaded") {
    char host[BYTES + 1] = {0};
    return cuMemcpyHtoDAsync_v2(memory, host, sizeof host, streams[0]);
  }
  IS("too many threads") return zero(memory, 1, 512, 0, streams[0]);
  IS("shared memory that was not asked for") return zero(memory, 1, 256, 64 << 10, streams[0]);
  IS("shared memory that the card has not")
    return cuFuncSetAttribute(kernel("elementwise", "zero"), MAX_SHARED, 230 << 10);
  IS("another module's kernel") return kernel("gelu", "zero") == NULL;
  IS("aligned") return cast(memory, memory + 2048, 16, 1);
  IS("not aligned") return cast(memory + 4, memory + 2048, 16, 1);
  IS("no context") { cuCtxSetCurrent(NULL); return zero(memory, 1, 256, 0, streams[0]); }
  IS("another card's stream") { cuCtxSetCurrent(context[1]); return cuStreamSynchronize(streams[0]); }
  IS("another card's memory") {
    handle stream;
    cuCtxSetCurrent(context[1]);
    cuStreamCreate(&stream, NON_BLOCKING);
    return cuMemsetD8Async(memory, 0, 1, stream);
  }
  IS("a product") return product(memory, memory + 1024, memory + 2048, 8, F32);
  IS("a bias") return with_epilogue(4);
  IS("the gradient of a bias of rows") return with_epilogue(256);
  IS("the gradient of a bias of columns") return with_epilogue(512);
  IS("another epilogue") return with_epilogue(32);
  IS("a product beyond the end") return product(memory + BYTES - 252, memory, memory + 1024, 8, F32);
  IS("a stride below the rows") return product(memory, memory + 1024, memory + 2048, 4, F32);
  IS("bf16 before Ampere") return product(memory, memory + 1024, memory + 2048, 8, BF16);
  IS("candle's kernel that is not written") {
    handle module, function;
    cuModuleLoadData(&module, "// CUDA stand-in: candle unary sm_75");
    return cuModuleGetFunction(&function, module, "usin_f32");
  }
  fprintf(stderr, "no case `%s`\n", mistake);
  return -1;
}

int main(int count, char **arguments) {
  cuInit(0);
  for (int card = 1; card >= 0; --card) {
    cuDevicePrimaryCtxRetain(&context[card], card);
    cuCtxSetCurrent(context[card]);
  }
  for (int i = 0; i < 2; ++i) cuStreamCreate(&streams[i], NON_BLOCKING);
  cuEventCreate(&event, 0);
  cuMemAllocAsync(&memory, BYTES, streams[0]);
  cuMemsetD8Async(memory, 0, BYTES, streams[0]);
  cuStreamSynchronize(streams[0]);
  printf("%d\n", run(arguments[count - 1]));
  return 0;
}

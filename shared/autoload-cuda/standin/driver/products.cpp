// cuBLAS: products by GemmEx, by its strided batches, and by cublasLt with the epilogues that Quintet may use. Sums are in
// f32, in the order of the depth.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "guard.hpp"
#include "numbers.hpp"
#include "options.hpp"

using namespace standin;

namespace {

// cublasStatus_t.
enum Status : int {
  OK = 0,
  NOT_INITIALIZED_ = 1,
  INVALID_VALUE_ = 7,
  ARCH_MISMATCH = 8,
  EXECUTION_FAILED = 13,
  NOT_SUPPORTED_ = 15,
};

constexpr int COMPUTE_32F = 68;

enum Epilogue : u32 { NONE = 1, BIAS = 4, BGRADA = 256, BGRADB = 512 };

// A matrix by columns.
struct Matrix {
  u64 address = 0;
  int format = F32;
  u64 rows = 0, columns = 0, stride = 0;
  u64 batch_stride = 0;
};

// D = alpha * op(A) op(B) + beta * C, for each of a batch.
struct Product {
  u64 m = 0, n = 0, k = 0, batch = 1;
  bool transposed_a = false, transposed_b = false;
  Matrix a, b, c, d;
  float alpha = 1, beta = 0;
  u32 epilogue = NONE;
  u64 bias = 0;
  int bias_format = F32;
};

struct Handle {
  Card* card;
  std::shared_ptr<Stream> stream;
};

bool known_format(int format) { return format == F32 || format == F16 || format == BF16; }

// The part of a matrix that is used, noted as an access.
bool use(const Matrix& matrix, u64 batch, Stream& stream, u64 time, bool write, const char* what) {
  if (matrix.stride < matrix.rows) {
    violation("%s has %lu rows, and a stride of %lu", what, matrix.rows, matrix.stride);
    return false;
  }
  u64 size = bytes((Format)matrix.format);
  u64 elements = (matrix.columns - 1) * matrix.stride + matrix.rows;
  u64 extent = ((batch - 1) * matrix.batch_stride + elements) * size;
  if (matrix.address % size) violation("%s is at 0x%lx, no multiple of %lu", what, matrix.address, size);
  Allocation* allocation = live(matrix.address, extent, *stream.card, what);
  if (!allocation) return false;
  access(*allocation, matrix.address, matrix.address + extent, stream, time, write, "a product");
  return true;
}

// The values of op(X), by columns.
std::vector<float> values(const Matrix& matrix, bool transposed, u64 index) {
  u64 rows = transposed ? matrix.columns : matrix.rows;
  u64 columns = transposed ? matrix.rows : matrix.columns;
  std::vector<float> all(rows * columns);
  u64 start = index * matrix.batch_stride;
  for (u64 c = 0; c < matrix.columns; ++c)
    for (u64 r = 0; r < matrix.rows; ++r) {
      float value = read((const void*)matrix.address, start + c * matrix.stride + r, (Format)matrix.format);
      all[transposed ? r * rows + c : c * rows + r] = value;
    }
  return all;
}

// One column of the product is added to `sums`.
__attribute__((target_clones("avx2", "default"))) void add_columns(float* __restrict sums,
                                                                   const float* __restrict a,
                                                                   const float* __restrict b,
                                                                   u64 m, u64 k) {
  for (u64 p = 0; p < k; ++p) {
    float factor = b[p];
    const float* __restrict column = a + p * m;
    for (u64 i = 0; i < m; ++i) sums[i] += column[i] * factor;
  }
}

void compute(const Product& product, u64 index) {
  const auto& [m, n, k] = std::tie(product.m, product.n, product.k);
  std::vector<float> a = values(product.a, product.transposed_a, index);
  std::vector<float> b = values(product.b, product.transposed_b, index);
  std::vector<float> sums(m);
  for (u64 j = 0; j < n; ++j) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    add_columns(sums.data(), a.data(), b.data() + j * k, m, k);
    for (u64 i = 0; i < m; ++i) {
      float value = product.alpha * sums[i];
      u64 from = index * product.c.batch_stride + j * product.c.stride + i;
      // With a beta of zero C is not read: it may hold NaN.
      if (product.beta != 0)
        value += product.beta * read((const void*)product.c.address, from, (Format)product.c.format);
      if (product.epilogue == BIAS)
        value += read((const void*)product.bias, i, (Format)product.bias_format);
      u64 to = index * product.d.batch_stride + j * product.d.stride + i;
      write((void*)product.d.address, to, (Format)product.d.format, value);
    }
  }
  // The gradient of the bias: the operand's sum over the depth.
  if (product.epilogue == BGRADA || product.epilogue == BGRADB) {
    bool of_a = product.epilogue == BGRADA;
    for (u64 i = 0; i < (of_a ? m : n); ++i) {
      float sum = 0;
      for (u64 p = 0; p < k; ++p) sum += of_a ? a[p * m + i] : b[i * k + p];
      write((void*)product.bias, i, (Format)product.bias_format, sum);
    }
  }
}

Status run(const Product& product, Stream& stream, const char* function) {
  char what[200];
  const char* formats[] = {"f32", "", "f16", "", "", "", "", "", "", "", "", "", "", "", "bf16"};
  for (int format : {product.a.format, product.b.format, product.c.format, product.d.format})
    if (!known_format(format)) {
      violation("products of the format %d are not the stand-in's", format);
      return NOT_SUPPORTED_;
    }
  snprintf(what, sizeof what, "%s%s [%lu, %lu] x %s%s [%lu, %lu] -> %s", formats[product.a.format],
           product.transposed_a ? "^T" : "", product.m, product.k, formats[product.b.format],
           product.transposed_b ? "^T" : "", product.k, product.n, formats[product.d.format]);
  Call call(function, what);
  Card& card = *stream.card;
  if (product.a.format != product.b.format ||
      (product.d.format != product.a.format && product.d.format != F32) ||
      product.c.format != product.d.format) {
    violation("cuBLAS has no product of these formats");
    return NOT_SUPPORTED_;
  }
  if (product.a.format == BF16 && !card.has_bf16()) {
    violation("%s has no bf16", card.name.c_str());
    return ARCH_MISMATCH;
  }
  if (product.m == 0 || product.n == 0 || product.k == 0) {
    violation("an extent is zero");
    return INVALID_VALUE_;
  }
  ++counts().products;
  count_launch("a product");
  launched(card, what);
  u64 time = stream.next();
  bool good = use(product.a, product.batch, stream, time, false, "the first operand") &&
              use(product.b, product.batch, stream, time, false, "the second operand");
  if (good && product.beta != 0) good = use(product.c, product.batch, stream, time, false, "the sum so far");
  if (good) good = use(product.d, product.batch, stream, time, true, "the output");
  if (good && product.epilogue != NONE) {
    u64 elements = product.epilogue == BGRADB ? product.n : product.m;
    Matrix bias{product.bias, product.bias_format, elements, 1, elements, 0};
    good = use(bias, 1, stream, time, product.epilogue != BIAS, "the bias or its gradient");
  }
  if (!good) return EXECUTION_FAILED;
  unlocked(stream, [&] {
    for (u64 index = 0; index < product.batch; ++index) compute(product, index);
  });
  return OK;
}

Status refused_() {
  Result bad = refused();
  return bad == SUCCESS ? OK : bad == INVALID_CONTEXT ? NOT_INITIALIZED_ : EXECUTION_FAILED;
}

// The handle behind a pointer, on the current context's card.
Handle* handle_of(void* pointer) {
  Handle* handle = (Handle*)pointer;
  if (handle && handle->card == current()) return handle;
  violation("cuBLAS's handle is card %d's, the thread's current context card %d's",
            handle ? handle->card->ordinal : -1, current()->ordinal);
  return nullptr;
}

}  // namespace

#define GUARD_BLAS(name) \
  GUARD_GLOBAL(name);    \
  if (Status bad = refused_()) return bad

extern "C" {

Status cublasCreate_v2(void** handle) {
  GUARD_BLAS("cublasCreate");
  *handle = new Handle{current(), current()->legacy};
  return OK;
}

Status cublasDestroy_v2(void* handle) {
  GUARD_BLAS("cublasDestroy");
  delete (Handle*)handle;
  return OK;
}

Status cublasSetStream_v2(void* pointer, void* stream) {
  GUARD_BLAS("cublasSetStream");
  Handle* handle = handle_of(pointer);
  auto found = handle ? stream_of(stream) : nullptr;
  if (!found) return INVALID_VALUE_;
  handle->stream = found;
  return OK;
}

Status cublasSetWorkspace_v2(void* pointer, void* memory, size_t size) {
  GUARD_BLAS("cublasSetWorkspace");
  Handle* handle = handle_of(pointer);
  if (!handle) return INVALID_VALUE_;
  return size == 0 || live((u64)memory, size, *handle->card, "the workspace") ? OK : INVALID_VALUE_;
}

Status cublasSetMathMode(void*, int) {
  GUARD_BLAS("cublasSetMathMode");
  return OK;
}

Status cublasGemmStridedBatchedEx(void* pointer, int transposed_a, int transposed_b, int m, int n,
                                  int k, const void* alpha, const void* a, int a_format,
                                  int a_stride, long long a_batch, const void* b, int b_format,
                                  int b_stride, long long b_batch, const void* beta, void* c,
                                  int c_format, int c_stride, long long c_batch, int count,
                                  int compute_type, int) {
  GUARD_BLAS("cublasGemmStridedBatchedEx");
  Handle* handle = handle_of(pointer);
  if (!handle || m < 0 || n < 0 || k < 0 || count < 1) return INVALID_VALUE_;
  if (compute_type != COMPUTE_32F) {
    violation("sums are asked for in another format than f32 (%d)", compute_type);
    return NOT_SUPPORTED_;
  }
  Product product;
  product.m = m, product.n = n, product.k = k, product.batch = count;
  product.transposed_a = transposed_a != 0, product.transposed_b = transposed_b != 0;
  auto matrix = [](const void* at, int format, int rows, int columns, int stride, long long batch) {
    return Matrix{(u64)at, format, (u64)rows, (u64)columns, (u64)stride, (u64)batch};
  };
  product.a = transposed_a ? matrix(a, a_format, k, m, a_stride, a_batch)
                           : matrix(a, a_format, m, k, a_stride, a_batch);
  product.b = transposed_b ? matrix(b, b_format, n, k, b_stride, b_batch)
                           : matrix(b, b_format, k, n, b_stride, b_batch);
  product.c = product.d = matrix(c, c_format, m, n, c_stride, c_batch);
  memcpy(&product.alpha, alpha, 4);
  memcpy(&product.beta, beta, 4);
  return run(product, *handle->stream, "cublasGemm");
}

Status cublasGemmEx(void* handle, int transposed_a, int transposed_b, int m, int n, int k,
                    const void* alpha, const void* a, int a_format, int a_stride, const void* b,
                    int b_format, int b_stride, const void* beta, void* c, int c_format,
                    int c_stride, int compute_type, int algorithm) {
  return cublasGemmStridedBatchedEx(handle, transposed_a, transposed_b, m, n, k, alpha, a, a_format,
                                    a_stride, 0, b, b_format, b_stride, 0, beta, c, c_format,
                                    c_stride, 0, 1, compute_type, algorithm);
}

// cublasLt. Its descriptions are pointers to structs of the library's own.

struct Layout {
  int format;
  u64 rows, columns;
  long long stride;
  int order = 0, batch = 1;
  long long batch_stride = 0;
};

struct Description {
  int compute_type, scale_type;
  int transposed_a = 0, transposed_b = 0;
  u32 epilogue = NONE;
  u64 bias = 0;
  int bias_format = -1;
};

Status cublasLtCreate(void** handle) {
  GUARD_BLAS("cublasLtCreate");
  *handle = new Handle{current(), nullptr};
  return OK;
}

Status cublasLtDestroy(void* handle) {
  GUARD_GLOBAL("cublasLtDestroy");
  delete (Handle*)handle;
  return OK;
}

Status cublasLtMatrixLayoutCreate(void** layout, int format, u64 rows, u64 columns, long long stride) {
  *layout = new Layout{format, rows, columns, stride};
  return OK;
}

Status cublasLtMatrixLayoutDestroy(void* layout) {
  delete (Layout*)layout;
  return OK;
}

Status cublasLtMatrixLayoutSetAttribute(void* pointer, int attribute, const void* value, size_t size) {
  GUARD_GLOBAL("cublasLtMatrixLayoutSetAttribute");
  Layout* layout = (Layout*)pointer;
  auto set = [&](auto& field) { memcpy(&field, value, std::min(size, sizeof field)); return OK; };
  switch (attribute) {
    case 0: return set(layout->format);
    case 1: return set(layout->order);
    case 2: return set(layout->rows);
    case 3: return set(layout->columns);
    case 4: return set(layout->stride);
    case 5: return set(layout->batch);
    case 6: return set(layout->batch_stride);
    default: violation("the stand-in does not know attribute %d", attribute); return INVALID_VALUE_;
  }
}

Status cublasLtMatmulDescCreate(void** description, int compute_type, int scale_type) {
  *description = new Description{compute_type, scale_type};
  return OK;
}

Status cublasLtMatmulDescDestroy(void* description) {
  delete (Description*)description;
  return OK;
}

Status cublasLtMatmulDescSetAttribute(void* pointer, int attribute, const void* value, size_t size) {
  GUARD_GLOBAL("cublasLtMatmulDescSetAttribute");
  Description* description = (Description*)pointer;
  auto set = [&](auto& field) { memcpy(&field, value, std::min(size, sizeof field)); return OK; };
  switch (attribute) {
    case 3: return set(description->transposed_a);
    case 4: return set(description->transposed_b);
    case 7: return set(description->epilogue);
    case 8: return set(description->bias);
    case 26: return set(description->bias_format);
    default: violation("the stand-in does not know attribute %d", attribute); return INVALID_VALUE_;
  }
}

Status cublasLtMatmulPreferenceCreate(void** preference) {
  *preference = new int(0);
  return OK;
}

Status cublasLtMatmulPreferenceDestroy(void* preference) {
  delete (int*)preference;
  return OK;
}

Status cublasLtMatmulPreferenceSetAttribute(void*, int, const void*, size_t) { return OK; }

// One algorithm, which needs no workspace.
Status cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int asked,
                                      void* results, int* found) {
  GUARD_BLAS("cublasLtMatmulAlgoGetHeuristic");
  struct Heuristic {
    u64 algorithm[8];
    size_t workspace;
    int status;
    float waves;
    int reserved[4];
  };
  *found = asked > 0 ? 1 : 0;
  if (asked > 0) *(Heuristic*)results = Heuristic{{1}, 0, OK, 1, {}};
  return OK;
}

Status cublasLtMatmul(void* pointer, void* description_pointer, const void* alpha, const void* a,
                      void* a_layout, const void* b, void* b_layout, const void* beta, const void* c,
                      void* c_layout, void* d, void* d_layout, const void*, void* workspace,
                      size_t workspace_size, void* stream_handle) {
  GUARD_BLAS("cublasLtMatmul");
  auto stream = handle_of(pointer) ? stream_of(stream_handle) : nullptr;
  if (!stream) return INVALID_VALUE_;
  const Description& description = *(Description*)description_pointer;
  if (description.compute_type != COMPUTE_32F || description.scale_type != F32) {
    violation("sums or factors are asked for in another format than f32");
    return NOT_SUPPORTED_;
  }
  const u32 epilogue = description.epilogue;
  if (epilogue != NONE && epilogue != BIAS && epilogue != BGRADA && epilogue != BGRADB) {
    violation("the stand-in has no epilogue %u", epilogue);
    return NOT_SUPPORTED_;
  }
  if (workspace_size && !live((u64)workspace, workspace_size, *stream->card, "the workspace"))
    return INVALID_VALUE_;
  auto matrix = [](const void* at, const void* layout_pointer) {
    const Layout& layout = *(const Layout*)layout_pointer;
    if (layout.order != 0) violation("the stand-in has matrices by columns only");
    return Matrix{(u64)at, layout.format, layout.rows, layout.columns, (u64)layout.stride,
                  (u64)layout.batch_stride};
  };
  Product product;
  product.a = matrix(a, a_layout), product.b = matrix(b, b_layout);
  product.c = matrix(c, c_layout), product.d = matrix(d, d_layout);
  product.transposed_a = description.transposed_a != 0;
  product.transposed_b = description.transposed_b != 0;
  product.batch = ((Layout*)d_layout)->batch;
  product.m = product.d.rows, product.n = product.d.columns;
  product.k = product.transposed_a ? product.a.rows : product.a.columns;
  u64 rows_of_a = product.transposed_a ? product.a.columns : product.a.rows;
  u64 depth_of_b = product.transposed_b ? product.b.columns : product.b.rows;
  u64 columns_of_b = product.transposed_b ? product.b.rows : product.b.columns;
  if (rows_of_a != product.m || depth_of_b != product.k || columns_of_b != product.n) {
    violation("the layouts do not fit: [%lu, %lu] x [%lu, %lu] -> [%lu, %lu]", rows_of_a, product.k,
              depth_of_b, columns_of_b, product.m, product.n);
    return INVALID_VALUE_;
  }
  memcpy(&product.alpha, alpha, 4);
  memcpy(&product.beta, beta, 4);
  product.epilogue = epilogue;
  product.bias = description.bias;
  product.bias_format = description.bias_format < 0 ? product.d.format : description.bias_format;
  if (!known_format(product.bias_format)) return NOT_SUPPORTED_;
  return run(product, *stream, "cublasLtMatmul");
}

// curand: candle makes a generator for each device. Quintet draws its random numbers itself.

Status curandCreateGenerator(void** generator, int) {
  GUARD_BLAS("curandCreateGenerator");
  Card& card = *current();
  if (card.ordinal == options().opened_card && ++card.generators == options().illegal_opening) {
    card.poison = ILLEGAL_ADDRESS;
    note_fault("generator %lu of card %d has an illegal address", card.generators, card.ordinal);
    return EXECUTION_FAILED;
  }
  *generator = new int(0);
  return OK;
}

Status curandSetPseudoRandomGeneratorSeed(void*, unsigned long long) {
  GUARD_BLAS("curandSetPseudoRandomGeneratorSeed");
  return OK;
}

Status curandSetStream(void*, void* stream) {
  GUARD_BLAS("curandSetStream");
  return stream_of(stream) ? OK : INVALID_VALUE_;
}

Status curandDestroyGenerator(void* generator) {
  GUARD_BLAS("curandDestroyGenerator");
  delete (int*)generator;
  return OK;
}

}  // extern "C"

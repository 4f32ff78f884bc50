// The end of a step, over flat arenas that hold all parameters: one launch looks at the gradients
// and decides, the next updates the weights. The decision never leaves the device.
#include "common.cuh"

constexpr int EACH = 4;

// The f64 numbers in which a run's optimizer stands, as cuda/optimizer.rs names them.
enum State : u32 {
  SCALE,          // what the loss is multiplied by
  CLEAN_STEPS,    // since the scale last changed
  STEPS,          // that AdamW has taken
  FACTOR,         // what this step's gradients are multiplied by: clip / scale, 0 if skipped
  NORM,           // of this step's unscaled gradients; not finite if skipped
  SKIPPED,        // 1 if this step is
  CORRECTION1,    // 1 - beta1^steps
  CORRECTION2,    // 1 - beta2^steps
};

// base^exponent by squaring, as f64::powi: the same bits.
__device__ double power(double base, u32 exponent) {
  double result = 1;
  for (;;) {
    if (exponent & 1) result = __dmul_rn(result, base);
    exponent >>= 1;
    if (exponent == 0) return result;
    base = __dmul_rn(base, base);
  }
}

// As torch.amp.GradScaler.update and clip_grad_norm_.
__device__ void decide(double squares, double* state, double max_norm, double beta1, double beta2,
                       double growth, double backoff, u32 interval, bool dynamic,
                       float* norm_copy) {
  double scale = state[SCALE];
  double norm = sqrt(squares) / scale;
  bool finite = isfinite(norm);
  state[NORM] = norm;
  *norm_copy = float(norm);
  state[SKIPPED] = finite ? 0 : 1;
  if (finite) {
    state[FACTOR] = fmin(1.0, max_norm / (norm + 1e-6)) / scale;
    state[STEPS] += 1;
    state[CORRECTION1] = 1 - power(beta1, u32(state[STEPS]));
    state[CORRECTION2] = 1 - power(beta2, u32(state[STEPS]));
  } else {
    state[FACTOR] = 0;
  }
  if (!dynamic) return;
  if (!finite) {
    state[SCALE] = scale * backoff;
    state[CLEAN_STEPS] = 0;
  } else if (state[CLEAN_STEPS] + 1 >= interval) {
    // The scale is an f32 in PyTorch, and grows only while it stays finite.
    if (isfinite(float(scale * growth))) state[SCALE] = scale * growth;
    state[CLEAN_STEPS] = 0;
  } else {
    state[CLEAN_STEPS] += 1;
  }
}

// gradients [n] -> state. Each block sums its squares in f64; the last one to finish adds the
// blocks' sums in their order and decides. partial [blocks + 1]: the last element counts the blocks
// that have finished, zero before and after.
KERNEL(256) norm_and_decide(const float* gradients, double* partial, double* state, u32 n,
                            double max_norm, double beta1, double beta2, double growth,
                            double backoff, u32 interval, u32 dynamic, float* norm,
                            u32 vector) {
  __shared__ u32 finished;
  double squares = 0;
  size_t step = size_t(gridDim.x) * blockDim.x * EACH;
#pragma unroll 4
  for (size_t i = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) * EACH; i < n; i += step) {
    float g[EACH];
    load(g, gradients, i, n, vector);
    for (int k = 0; k < EACH; ++k) squares += double(g[k]) * double(g[k]);
  }
  squares = block_sum(squares);
  u32* counter = reinterpret_cast<u32*>(partial + gridDim.x);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = squares;
    __threadfence();
    finished = atomicAdd(counter, 1) + 1;
  }
  __syncthreads();
  if (finished < gridDim.x) return;
  __threadfence();
  double sum = 0;
  for (u32 block = threadIdx.x; block < gridDim.x; block += blockDim.x)
    sum += *const_cast<volatile double*>(partial + block);
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    decide(sum, state, max_norm, beta1, beta2, growth, backoff, interval, dynamic, norm);
    *counter = 0;
  }
}
REGISTER(norm_and_decide)

// One AdamW step of all arrays [n]: the operations
// of optimizer.rs beside cuda/ in their order, each rounded by itself, so that the bits agree. Nothing
// happens if the step is skipped. `half` is a copy of the weights, or null.
template <class H>
__device__ void adamw(float* weights, const float* gradients, float* first, float* second, H* half,
                      const double* state, u32 n, double learning_rate,
                      double beta1, double beta2, double eps, double weight_decay, bool vector) {
  if (state[SKIPPED] != 0) return;
  __shared__ float constants[4];
  if (threadIdx.x == 0) {
    constants[0] = float(learning_rate / state[CORRECTION1]);
    constants[1] = float(sqrt(state[CORRECTION2]));
    constants[2] = float(1.0 - __dmul_rn(learning_rate, weight_decay));
    constants[3] = float(state[FACTOR]);
  }
  __syncthreads();
  float step_size = constants[0], root = constants[1], decay = constants[2], scale = constants[3];
  float take1 = float(1.0 - beta1), keep2 = float(beta2), take2 = float(1.0 - beta2);
  float epsilon = float(eps);
  size_t step = size_t(gridDim.x) * blockDim.x * EACH;
  for (size_t i = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) * EACH; i < n; i += step) {
    float w[EACH], g[EACH], m[EACH], v[EACH];
    load(w, weights, i, n, vector);
    load(g, gradients, i, n, vector);
    load(m, first, i, n, vector);
    load(v, second, i, n, vector);
    for (int k = 0; k < EACH; ++k) {
      float scaled = __fmul_rn(g[k], scale);
      m[k] = __fadd_rn(m[k], __fmul_rn(take1, __fsub_rn(scaled, m[k])));
      v[k] = __fadd_rn(__fmul_rn(keep2, v[k]), __fmul_rn(__fmul_rn(take2, scaled), scaled));
      float denominator = __fadd_rn(sqrtf(v[k]) / root, epsilon);
      w[k] = __fsub_rn(__fmul_rn(w[k], decay), __fmul_rn(step_size, m[k] / denominator));
    }
    store(weights, w, i, n, vector);
    store(first, m, i, n, vector);
    store(second, v, i, n, vector);
    if (half) store(half, w, i, n, vector);
  }
}

#define ADAMW(H, format)                                                                       \
  KERNEL(256) adamw_##format(float* weights, const float* gradients, float* first,             \
                             float* second, H* half, const double* state, u32 n,               \
                             double learning_rate, double beta1, double beta2, double eps,     \
                             double weight_decay, u32 vector) {                                \
    adamw<H>(weights, gradients, first, second, half, state, n, learning_rate, beta1, beta2,   \
             eps, weight_decay, vector);                                                       \
  }                                                                                            \
  REGISTER(adamw_##format)
FORMATS(ADAMW)

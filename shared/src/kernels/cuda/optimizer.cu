// The end of a step over flat arrays of all parameters: one launch unscales and clips the gradients,
// the next is AdamW. What the first decides never leaves the device.
#include "common.cuh"

constexpr int EACH = 4;

// The elements of the scaler's state, f64 each, as optimizer.rs beside this file describes them.
enum State : u32 {
  SCALE,             // the factor of the loss
  GROWTH_TRACKER,    // steps without an overflow since the scale last changed
  STEP,              // AdamW's step: the updates so far
  GRAD_FACTOR,       // the factor of this step's gradients: clip / scale, 0 if found_inf
  NORM,              // of this step's unscaled gradients
  FOUND_INF,         // 1 if a gradient of this step is infinite or NaN
  BIAS_CORRECTION1,  // 1 - beta1^step
  BIAS_CORRECTION2,  // 1 - beta2^step
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

// unscale_, clip_grad_norm_ and update of PyTorch's GradScaler, given the sum of squares of the scaled
// gradients.
__device__ void update_state(double squares, double* state, double max_norm, double beta1,
                             double beta2, double growth, double backoff, u32 interval,
                             bool dynamic, float* norm_copy) {
  double scale = state[SCALE];
  double norm = sqrt(squares) / scale;
  bool finite = isfinite(norm);
  state[NORM] = norm;
  *norm_copy = float(norm);
  state[FOUND_INF] = finite ? 0 : 1;
  if (finite) {
    state[GRAD_FACTOR] = fmin(1.0, max_norm / (norm + 1e-6)) / scale;
    state[STEP] += 1;
    state[BIAS_CORRECTION1] = 1 - power(beta1, u32(state[STEP]));
    state[BIAS_CORRECTION2] = 1 - power(beta2, u32(state[STEP]));
  } else {
    state[GRAD_FACTOR] = 0;
  }
  if (!dynamic) return;
  if (!finite) {
    state[SCALE] = scale * backoff;
    state[GROWTH_TRACKER] = 0;
  } else if (state[GROWTH_TRACKER] + 1 >= interval) {
    // The scale is an f32 in PyTorch, and grows only while it stays finite.
    if (isfinite(float(scale * growth))) state[SCALE] = scale * growth;
    state[GROWTH_TRACKER] = 0;
  } else {
    state[GROWTH_TRACKER] += 1;
  }
}

// gradients [n] -> state. Each block sums its squares in f64; the last one to finish adds the
// blocks' sums in their order and updates the state. partial [blocks + 1]: the last element counts
// the blocks that have finished, zero before and after.
KERNEL(256) unscale_and_clip(const float* gradients, double* partial, double* state, u32 n,
                             double max_norm, double beta1, double beta2, double growth,
                             double backoff, u32 interval, u32 dynamic, float* norm,
                             u32 vector) {
  double squares = 0;
  size_t step = size_t(gridDim.x) * blockDim.x * EACH;
#pragma unroll 4
  for (size_t i = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) * EACH; i < n; i += step) {
    float g[EACH];
    load(g, gradients, i, n, vector);
    for (int k = 0; k < EACH; ++k) squares += double(g[k]) * double(g[k]);
  }
  squares = block_sum(squares);
  if (threadIdx.x == 0) partial[blockIdx.x] = squares;
  if (!is_last(reinterpret_cast<u32*>(partial + gridDim.x), gridDim.x)) return;
  double sum = 0;
  for (u32 block = threadIdx.x; block < gridDim.x; block += blockDim.x)
    sum += __ldcg(partial + block);
  sum = block_sum(sum);
  if (threadIdx.x == 0)
    update_state(sum, state, max_norm, beta1, beta2, growth, backoff, interval, dynamic, norm);
}
REGISTER(unscale_and_clip)

// One AdamW step of all arrays [n]: the operations of kernels/optimizer.rs in their order, each rounded
// by itself, so that the bits agree. Nothing happens if a gradient is not finite. `half` is a copy of
// the weights, or null.
template <class H>
__device__ void adamw(float* weights, const float* gradients, float* exp_avg, float* exp_avg_sq,
                      H* half, const double* state, u32 n, double lr, double beta1, double beta2,
                      double eps, double weight_decay, bool vector) {
  if (state[FOUND_INF] != 0) return;
  __shared__ float constants[4];
  if (threadIdx.x == 0) {
    constants[0] = float(lr / state[BIAS_CORRECTION1]);
    constants[1] = float(sqrt(state[BIAS_CORRECTION2]));
    constants[2] = float(1.0 - __dmul_rn(lr, weight_decay));
    constants[3] = float(state[GRAD_FACTOR]);
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
    load(m, exp_avg, i, n, vector);
    load(v, exp_avg_sq, i, n, vector);
    for (int k = 0; k < EACH; ++k) {
      float scaled = __fmul_rn(g[k], scale);
      m[k] = __fadd_rn(m[k], __fmul_rn(take1, __fsub_rn(scaled, m[k])));
      v[k] = __fadd_rn(__fmul_rn(keep2, v[k]), __fmul_rn(__fmul_rn(take2, scaled), scaled));
      float denominator = __fadd_rn(sqrtf(v[k]) / root, epsilon);
      w[k] = __fsub_rn(__fmul_rn(w[k], decay), __fmul_rn(step_size, m[k] / denominator));
    }
    store(weights, w, i, n, vector);
    store(exp_avg, m, i, n, vector);
    store(exp_avg_sq, v, i, n, vector);
    if (half) store(half, w, i, n, vector);
  }
}

#define ADAMW(H, format)                                                                       \
  KERNEL(256) adamw_##format(float* weights, const float* gradients, float* exp_avg,           \
                             float* exp_avg_sq, H* half, const double* state, u32 n,           \
                             double lr, double beta1, double beta2, double eps,                \
                             double weight_decay, u32 vector) {                                \
    adamw<H>(weights, gradients, exp_avg, exp_avg_sq, half, state, n, lr, beta1, beta2, eps,   \
             weight_decay, vector);                                                            \
  }                                                                                            \
  REGISTER(adamw_##format)
FORMATS(ADAMW)

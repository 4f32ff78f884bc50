// Binary cross-entropy of logits, the mean over a batch (see cross_entropy.rs beside cuda/).
#include "common.cuh"

// logits and targets [n] -> gradient [n] = (sigmoid(logit) - target) / count * scale[0], and the
// sum of the losses / count into loss[0], replaced or added to. `count` is that of the whole batch,
// of which these n may be a part. One block, so that the sum has one order.
template <class T>
__device__ void bce_with_logits_backward(const T* logits, const float* targets,
                                         const double* scale, T* gradient, float* loss, u32 n,
                                         float count, bool add) {
  double sum = 0;
  float factor = float(scale[0]);
  for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
    float z = to_float(logits[i]), t = targets[i];
    gradient[i] = from_float<T>((1.0f / (1.0f + expf(-z)) - t) / count * factor);
    // max(z, 0) - z t + ln(1 + e^-|z|): finite for every finite logit.
    double wide = z, target = t;
    sum += fmax(wide, 0.0) - wide * target + log1p(exp(-fabs(wide)));
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    float mean = float(sum / count);
    loss[0] = add ? loss[0] + mean : mean;
  }
}

#define LOSS(T, format)                                                                        \
  KERNEL(256) bce_with_logits_backward_##format(                                               \
      const T* logits, const float* targets, const double* scale, T* gradient, float* loss,    \
      u32 n, float count, u32 add) {                                                           \
    bce_with_logits_backward<T>(logits, targets, scale, gradient, loss, n, count, add);        \
  }                                                                                            \
  REGISTER(bce_with_logits_backward_##format)
FORMATS(LOSS)

// Disentangled attention over packed texts, forward and backward (see attention.rs beside cuda/):
//
//   score(i, j) = (q_i . k_j + q_i . pk(i - j) + k_j . pq(i - j)) * scale
//   context_i   = sum over j of dropout(softmax(score(i, .)))_j v_j
//
// Scores are made a tile of TILE queries by TILE keys at a time and never stored: the forward pass
// keeps a running maximum and sum of each row (Milakov and Gimelshein, arXiv 1805.02867) and leaves
// the logarithm of the sum, from which the backward pass makes the probabilities again (Dao et al.,
// arXiv 2205.14135).
//
// A tile reaches 2 * TILE - 1 distances, whose rows of a position table are consecutive. Both band
// products have 2 * TILE columns, the last unused: column TILE - 1 - i + j is that of query i and
// key j of the tile, and belongs to table row `longest - 1 - i + j`.
//
// Rows of operands are [heads * size], a head being a block of columns, and are `Strides` apart: an
// operand may be a block of columns of a wider matrix. Rows of contexts are contiguous. Bounds of
// texts, `cumulative_seq_lengths`, are [texts + 1]. Queries are all rows of a text or, with
// `first_only`, the first: then queries and contexts have one row a text. Position tables
// [2 * longest - 1, heads * size] may be null. Texts may have any length. THREADS a block.
#include "tiles.cuh"

constexpr u32 THREADS = 256;

// The operands of one attention.
template <class T>
struct Operands {
  const T *query, *key, *value, *position_key, *position_query;
};

// The distances between rows of queries, keys, values and both position tables.
struct Strides {
  u32 query, key, value, position_key, position_query;
};

struct Sizes {
  const u32* cumulative_seq_lengths;
  u32 texts, heads, size, longest, query_rows;
  bool first_only;
  float scale;
  Mask mask;
  bool vector;
  Strides strides;

  // Columns of a tile: those of a head, up to a multiple of 16.
  __device__ __forceinline__ u32 padded() const { return (size + 15) / 16 * 16; }
  __device__ __forceinline__ u32 width() const { return heads * size; }
};

// The place of one head of one text.
struct Head {
  // Its first rows among the keys and among the queries, and their numbers.
  u32 first_key, keys, first_query, queries;
  // The number of its first score, as attention.rs counts them for the dropout mask.
  u32 scores;
  // The tiles of queries and of keys in all texts before this one.
  u32 query_tiles_before, key_tiles_before;

  template <u32 TILE>
  static __device__ __forceinline__ Head find(const Sizes& sizes, u32 text, u32 head) {
    u32 scores = 0, query_tiles = 0, key_tiles = 0;
    for (u32 other = threadIdx.x % 32; other < text; other += 32) {
      u32 keys = sizes.cumulative_seq_lengths[other + 1] - sizes.cumulative_seq_lengths[other];
      u32 queries = sizes.first_only ? 1 : keys;
      scores += keys * queries;
      query_tiles += (queries + TILE - 1) / TILE;
      key_tiles += (keys + TILE - 1) / TILE;
    }
    Head found;
    found.first_key = sizes.cumulative_seq_lengths[text];
    found.keys = sizes.cumulative_seq_lengths[text + 1] - found.first_key;
    found.first_query = sizes.first_only ? text : found.first_key;
    found.queries = sizes.first_only ? 1 : found.keys;
    found.scores = sizes.heads * warp_sum(scores) + head * found.queries * found.keys;
    found.query_tiles_before = warp_sum(query_tiles);
    found.key_tiles_before = warp_sum(key_tiles);
    return found;
  }
};

// Rows of one operand in shared memory, and their distance.
template <class T>
struct Tile {
  T* values;
  u32 stride;

  __device__ __forceinline__ Tile(Shared& shared, u32 rows, u32 columns)
      : values(shared.take<T>(rows * (columns + PADDING<T>))), stride(columns + PADDING<T>) {}
  // Takes the memory of a tile of as many rows and columns whose elements are no smaller.
  template <class U>
  __device__ __forceinline__ Tile(const Tile<U>& over, u32 columns)
      : values(reinterpret_cast<T*>(over.values)), stride(columns + PADDING<T>) {}
  __device__ __forceinline__ T& at(u32 row, u32 column) { return values[row * stride + column]; }
};

// The tiles from which scores are computed.
template <class T, u32 TILE>
struct Scores {
  Tile<T> query, key, position_key, position_query;
  Tile<float> content, query_band, key_band;

  __device__ __forceinline__ Scores(Shared& shared, u32 padded)
      : query(shared, TILE, padded),
        key(shared, TILE, padded),
        position_key(shared, 2 * TILE, padded),
        position_query(shared, 2 * TILE, padded),
        content(shared, TILE, TILE),
        query_band(shared, TILE, 2 * TILE),
        key_band(shared, TILE, 2 * TILE) {}

  __device__ __forceinline__ void load_queries(const Operands<T>& operands, const Sizes& sizes,
                                               const Head& head, u32 column, u32 i0) {
    u32 stride = sizes.strides.query;
    load_tile(query.values, TILE, sizes.padded(), operands.query + size_t(head.first_query) * stride,
              i0, head.queries, stride, column, sizes.size, sizes.vector);
  }

  // The keys from j0 on, and the table rows that they and the queries from i0 on reach.
  __device__ __forceinline__ void load_keys(const Operands<T>& operands, const Sizes& sizes,
                                            const Head& head, u32 column, u32 i0, u32 j0) {
    u32 stride = sizes.strides.key;
    load_tile(key.values, TILE, sizes.padded(), operands.key + size_t(head.first_key) * stride, j0,
              head.keys, stride, column, sizes.size, sizes.vector);
    int first = int(sizes.longest) - int(TILE) - int(i0) + int(j0);
    int rows = 2 * int(sizes.longest) - 1;
    if (operands.position_key)
      load_tile(position_key.values, 2 * TILE, sizes.padded(), operands.position_key, first, rows,
                sizes.strides.position_key, column, sizes.size, sizes.vector);
    if (operands.position_query)
      load_tile(position_query.values, 2 * TILE, sizes.padded(), operands.position_query,
                first, rows, sizes.strides.position_query, column, sizes.size, sizes.vector);
  }

  // The three products; `score` adds them up after a barrier.
  __device__ __forceinline__ void multiply(const Operands<T>& operands, u32 padded) {
    tile_product<false, true>(content.values, content.stride, query.values, query.stride,
                              key.values, key.stride, TILE, TILE, padded, false, 0);
    if (operands.position_key)
      tile_product<false, true>(query_band.values, query_band.stride, query.values, query.stride,
                                position_key.values, position_key.stride, TILE, 2 * TILE, padded,
                                false, TILE / 8);
    if (operands.position_query)
      tile_product<false, true>(key_band.values, key_band.stride, key.values, key.stride,
                                position_query.values, position_query.stride, TILE, 2 * TILE,
                                padded, false, TILE / 8);
  }

  // The score of query i and key j of the tile.
  __device__ __forceinline__ float score(const Operands<T>& operands, float scale, u32 i, u32 j) {
    u32 column = TILE - 1 - i + j;
    float score = content.at(i, j);
    if (operands.position_key) score += query_band.at(i, column);
    if (operands.position_query) score += key_band.at(j, column);
    return score * scale;
  }
};

// -> context [query_rows, width] and log_sum_exp [heads, query_rows]. The grid is (tiles of queries
// in the longest text, heads, texts).
template <class T, u32 TILE>
__device__ void attention_forward(const Operands<T>& operands, T* context, float* log_sum_exp,
                                  const Sizes& sizes) {
  // Each row of a tile belongs to a group of neighbouring threads of one warp.
  constexpr u32 GROUP = THREADS / TILE, EACH = TILE / GROUP;
  u32 row = threadIdx.x / GROUP, lane = threadIdx.x % GROUP;
  u32 i0 = blockIdx.x * TILE, column = blockIdx.y * sizes.size, padded = sizes.padded();
  Head head = Head::find<TILE>(sizes, blockIdx.z, blockIdx.y);
  if (i0 >= head.queries) return;

  DYNAMIC_SHARED(memory);
  Shared shared{memory};
  Scores<T, TILE> scores(shared, padded);
  Tile<T> value(shared, TILE, padded), weights(shared, TILE, TILE);
  Tile<float> output(shared, TILE, padded);

  scores.load_queries(operands, sizes, head, column, i0);
  for (u32 c = lane; c < padded; c += GROUP) output.at(row, c) = 0;
  u32 i = i0 + row;
  float maximum = -INFINITY, sum = 0;
  for (u32 j0 = 0; j0 < head.keys; j0 += TILE) {
    scores.load_keys(operands, sizes, head, column, i0, j0);
    load_tile(value.values, TILE, padded,
              operands.value + size_t(head.first_key) * sizes.strides.value, j0, head.keys,
              sizes.strides.value, column, sizes.size, sizes.vector);
    __syncthreads();
    scores.multiply(operands, padded);
    __syncthreads();

    float s[EACH], largest = maximum;
    for (u32 c = 0; c < EACH; ++c) {
      u32 j = lane + c * GROUP;
      bool real = i < head.queries && j0 + j < head.keys;
      s[c] = real ? scores.score(operands, sizes.scale, row, j) : -INFINITY;
      largest = fmaxf(largest, s[c]);
    }
    for (u32 distance = GROUP / 2; distance > 0; distance /= 2)
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    // A row beyond the last query has no score at all.
    float rescale = maximum == -INFINITY ? 0.0f : expf(maximum - largest);
    float added = 0;
    for (u32 c = 0; c < EACH; ++c) {
      u32 j = lane + c * GROUP;
      float p = s[c] == -INFINITY ? 0.0f : expf(s[c] - largest);
      added += p;
      weights.at(row, j) =
          from_float<T>(p * sizes.mask.factor(head.scores + i * head.keys + j0 + j));
    }
    sum = sum * rescale + warp_sum<GROUP>(added);
    maximum = largest;
    if (j0 > 0)
      for (u32 c = lane; c < padded; c += GROUP) output.at(row, c) *= rescale;
    __syncthreads();
    tile_product<false, false>(output.values, output.stride, weights.values, weights.stride,
                               value.values, value.stride, TILE, padded, TILE, true, 0);
    __syncthreads();
  }
  if (i >= head.queries) return;
  size_t to = size_t(head.first_query + i) * sizes.width() + column;
  for (u32 c = lane; c < sizes.size; c += GROUP)
    context[to + c] = from_float<T>(output.at(row, c) / sum);
  if (lane == 0)
    log_sum_exp[size_t(blockIdx.y) * sizes.query_rows + head.first_query + i] =
        maximum + logf(sum);
}

// Tiles of gradients in global memory, f32, in which one block adds up what several tiles of queries
// add to: for each text and head its tiles of TILE rows [padded], heads side by side within a text.
// `position_key` and `position_query`
// have as many as the tiles of queries and keys together: row r of them is that of table row
// longest - TILE * (tiles of queries) + r.
struct Sums {
  float *key, *value, *position_key, *position_query;
};

// The f32 sums of one head's tiles into rows of the result.
template <class T>
__device__ __forceinline__ void store_rows(T* to, const float* from, u32 rows, u32 padded,
                                           u32 stride, u32 size) {
  for (u32 element = threadIdx.x; element < rows * size; element += blockDim.x) {
    u32 row = element / size, c = element % size;
    to[size_t(row) * stride + c] = from_float<T>(from[size_t(row) * padded + c]);
  }
}

// gradient [query_rows, width] of the context -> by_query, by_key, by_value, with strides of their own,
// and in `sums` each text's share of the position tables. The grid is (heads, texts): a block does all tiles of one
// head of one text, query tiles in the outer loop, so that every sum has one order.
template <class T, u32 TILE>
__device__ void attention_backward(const Operands<T>& operands, const T* context,
                                   const float* log_sum_exp, const T* gradient, T* by_query,
                                   T* by_key, T* by_value, Sums sums, const Strides& to,
                                   const Sizes& sizes) {
  constexpr u32 GROUP = THREADS / TILE, EACH = TILE / GROUP;
  u32 row = threadIdx.x / GROUP, lane = threadIdx.x % GROUP;
  u32 column = blockIdx.x * sizes.size, padded = sizes.padded(), width = sizes.width();
  Head head = Head::find<TILE>(sizes, blockIdx.y, blockIdx.x);
  u32 query_tiles = (head.queries + TILE - 1) / TILE, key_tiles = (head.keys + TILE - 1) / TILE;
  // This head's tiles begin there.
  size_t tile = size_t(TILE) * padded;
  size_t query_at = (size_t(head.query_tiles_before) * sizes.heads + blockIdx.x * query_tiles) * tile;
  size_t key_at = (size_t(head.key_tiles_before) * sizes.heads + blockIdx.x * key_tiles) * tile;

  DYNAMIC_SHARED(memory);
  Shared shared{memory};
  Scores<T, TILE> scores(shared, padded);
  Tile<T> value(shared, TILE, padded), by_context(shared, TILE, padded);
  Tile<float> by_weights(shared, TILE, TILE);
  Tile<T> weights(shared, TILE, TILE), by_scores(shared, TILE, TILE);
  // The gradient of a tile of queries, complete when all tiles of keys have added to it.
  Tile<float> query_sums(shared, TILE, padded);
  // The gradient of the scores again, spread as the bands are; over them, when they have been read.
  Tile<T> by_query_band(scores.query_band, 2 * TILE), by_key_band(scores.key_band, 2 * TILE);

  for (u32 query_tile = 0; query_tile < query_tiles; ++query_tile) {
    u32 i0 = query_tile * TILE, i = i0 + row;
    bool real_row = i < head.queries;
    scores.load_queries(operands, sizes, head, column, i0);
    load_tile(by_context.values, TILE, padded, gradient + size_t(head.first_query) * width, i0, head.queries,
              width, column, sizes.size, sizes.vector);
    // The sum over keys of probability times its gradient is that of context times its gradient.
    float expected = 0, log_sum = 0;
    if (real_row) {
      size_t at = size_t(head.first_query + i) * width + column;
      for (u32 c = lane; c < sizes.size; c += GROUP)
        expected += to_float(context[at + c]) * to_float(gradient[at + c]);
      log_sum = log_sum_exp[size_t(blockIdx.x) * sizes.query_rows + head.first_query + i];
    }
    expected = warp_sum<GROUP>(expected);

    for (u32 key_tile = 0; key_tile < key_tiles; ++key_tile) {
      u32 j0 = key_tile * TILE;
      scores.load_keys(operands, sizes, head, column, i0, j0);
      load_tile(value.values, TILE, padded,
                operands.value + size_t(head.first_key) * sizes.strides.value, j0, head.keys,
                sizes.strides.value, column, sizes.size, sizes.vector);
      __syncthreads();
      scores.multiply(operands, padded);
      tile_product<false, true>(by_weights.values, by_weights.stride, by_context.values,
                                by_context.stride, value.values, value.stride, TILE, TILE, padded,
                                false, TILE / 8);
      __syncthreads();

      float by_score[EACH];
      for (u32 c = 0; c < EACH; ++c) {
        u32 j = lane + c * GROUP;
        float p = 0, factor = 0;
        if (real_row && j0 + j < head.keys) {
          p = expf(scores.score(operands, sizes.scale, row, j) - log_sum);
          factor = sizes.mask.factor(head.scores + i * head.keys + j0 + j);
        }
        weights.at(row, j) = from_float<T>(p * factor);
        by_score[c] = p * (by_weights.at(row, j) * factor - expected) * sizes.scale;
        by_scores.at(row, j) = from_float<T>(by_score[c]);
      }
      __syncthreads();
      for (u32 c = 0; c < EACH; ++c) {
        u32 j = lane + c * GROUP, band = TILE - 1 - row + j;
        // A thread also clears the columns that are beyond the reach of its row.
        by_query_band.at(row, band) = by_key_band.at(j, band) = from_float<T>(by_score[c]);
        u32 other = (band + TILE) % (2 * TILE);
        by_query_band.at(row, other) = by_key_band.at(j, other) = from_float<T>(0);
      }
      __syncthreads();

      float* to_key = sums.key + key_at + key_tile * tile;
      // A table that there is not adds nothing.
      u32 key_band = operands.position_key ? 2 * TILE : 0;
      u32 query_band = operands.position_query ? 2 * TILE : 0;
      tile_product<true, false>(sums.value + key_at + key_tile * tile, padded, weights.values,
                                weights.stride, by_context.values, by_context.stride, TILE,
                                padded, TILE, query_tile > 0, 0);
      tile_products<T>(query_sums.values, query_sums.stride, TILE, padded, key_tile > 0, 0,
                       Factors<false, false, T>{by_scores.values, by_scores.stride,
                                                scores.key.values, scores.key.stride, TILE},
                       Factors<false, false, T>{by_query_band.values, by_query_band.stride,
                                                scores.position_key.values,
                                                scores.position_key.stride, key_band});
      tile_products<T>(to_key, padded, TILE, padded, query_tile > 0, 0,
                       Factors<true, false, T>{by_scores.values, by_scores.stride,
                                               scores.query.values, scores.query.stride, TILE},
                       Factors<false, false, T>{by_key_band.values, by_key_band.stride,
                                                scores.position_query.values,
                                                scores.position_query.stride, query_band});
      // The lower half of a tile's reach is new in each first key tile, the upper half in the first
      // query tile.
      bool add_low = key_tile > 0, add_high = query_tile > 0;
      size_t low = query_at + key_at + (key_tile + query_tiles - 1 - query_tile) * tile, high = low + tile;
      // A band also sends gradients to the rows of its table.
      auto to_rows_of_table = [&](const auto& band, const auto& rows, float* to_table) {
        tile_product<true, false>(to_table + low, padded, band.values, band.stride, rows.values,
                                  rows.stride, TILE, padded, TILE, add_low, 0);
        tile_product<true, false>(to_table + high, padded, band.values + TILE, band.stride,
                                  rows.values, rows.stride, TILE, padded, TILE, add_high, 0);
      };
      if (operands.position_key) to_rows_of_table(by_query_band, scores.query, sums.position_key);
      if (operands.position_query) to_rows_of_table(by_key_band, scores.key, sums.position_query);
      __syncthreads();
    }
    if (real_row) {
      T* to_row = by_query + size_t(head.first_query + i) * to.query + column;
      for (u32 c = lane; c < sizes.size; c += GROUP)
        to_row[c] = from_float<T>(query_sums.at(row, c));
    }
  }
  store_rows(by_key + size_t(head.first_key) * to.key + column, sums.key + key_at, head.keys, padded,
             to.key, sizes.size);
  store_rows(by_value + size_t(head.first_key) * to.value + column, sums.value + key_at, head.keys, padded,
             to.value, sizes.size);
}

// The sum over the texts that reach a row: `sums` as `Sums` has it -> output [2 * longest - 1,
// width], rows `stride` apart. The grid is (rows, tables, width / THREADS).
template <class T, u32 TILE>
__device__ void attention_positions(const float* sums, T* output, u32 stride,
                                    const Sizes& sizes) {
  int distance = int(blockIdx.x) - int(sizes.longest - 1);
  u32 padded = sizes.padded(), c = blockIdx.z * THREADS + threadIdx.x;
  if (c >= sizes.width()) return;
  u32 head = c / sizes.size;
  const float* of_column = sums + c % sizes.size;
  float sum = 0;
  u32 tiles_before = 0;
#pragma unroll 4
  for (u32 text = 0; text < sizes.texts; ++text) {
    int keys = sizes.cumulative_seq_lengths[text + 1] - sizes.cumulative_seq_lengths[text];
    int queries = sizes.first_only ? 1 : keys;
    u32 query_tiles = (queries + TILE - 1) / TILE;
    u32 tiles = query_tiles + (keys + TILE - 1) / TILE;
    bool reaches = distance > -queries && distance < keys;
    u32 row = reaches ? distance + TILE * query_tiles - 1 : 0;
    size_t first = (size_t(tiles_before) * sizes.heads + head * tiles) * TILE;
    sum += reaches ? of_column[(first + row) * padded] : 0.0f;
    tiles_before += tiles;
  }
  output[size_t(blockIdx.x) * stride + c] = from_float<T>(sum);
}

// The arguments of all passes, and the structs made of them.
#define SIZES                                                                                  \
  const u32 *cumulative_seq_lengths, u32 texts, u32 heads, u32 size, u32 longest,              \
      u32 query_rows, u32 first_only, float scale, u32 key0, u32 key1, u32 threshold,          \
      float mask_scale, u32 vector
#define OPERANDS(T)                                                                            \
  const T *query, const T *key, const T *value, const T *position_key,                         \
      const T *position_query, u32 query_stride, u32 key_stride, u32 value_stride,             \
      u32 position_key_stride, u32 position_query_stride
#define PACK(T)                                                                                \
  Sizes sizes{cumulative_seq_lengths,                                                          \
              texts,                                                                           \
              heads,                                                                           \
              size,                                                                            \
              longest,                                                                         \
              query_rows,                                                                      \
              first_only != 0,                                                                 \
              scale,                                                                           \
              Mask{key0, key1, threshold, mask_scale},                                         \
              vector != 0,                                                                     \
              Strides{query_stride, key_stride, value_stride, position_key_stride,             \
                      position_query_stride}};                                                 \
  Operands<T> operands { query, key, value, position_key, position_query }

// attention_positions does both tables at once, the second where blockIdx.y is 1; one of them may be
// null.
#define ATTENTION(T, format, TILE)                                                             \
  KERNEL(THREADS, 2) attention_forward_##format##_##TILE(OPERANDS(T), T* context,              \
                                                         float* log_sum_exp, SIZES) {          \
    PACK(T);                                                                                   \
    attention_forward<T, TILE>(operands, context, log_sum_exp, sizes);                         \
  }                                                                                            \
  REGISTER(attention_forward_##format##_##TILE)                                                \
  KERNEL(THREADS, 2) attention_backward_##format##_##TILE(                                     \
      OPERANDS(T), const T* context, const float* log_sum_exp, const T* gradient, T* by_query, \
      T* by_key, T* by_value, u32 by_query_stride, u32 by_key_stride, u32 by_value_stride,     \
      float* key_sums, float* value_sums, float* position_key_sums,                            \
      float* position_query_sums, SIZES) {                                                     \
    PACK(T);                                                                                   \
    Sums sums{key_sums, value_sums, position_key_sums, position_query_sums};                   \
    Strides to{by_query_stride, by_key_stride, by_value_stride, 0, 0};                         \
    attention_backward<T, TILE>(operands, context, log_sum_exp, gradient, by_query, by_key,    \
                                by_value, sums, to, sizes);                                    \
  }                                                                                            \
  REGISTER(attention_backward_##format##_##TILE)                                               \
  KERNEL(THREADS) attention_positions_##format##_##TILE(                                       \
      const float* key_sums, const float* query_sums, T* by_key, T* by_query, u32 key_stride,  \
      u32 query_stride, const u32* cumulative_seq_lengths, u32 texts, u32 heads, u32 size,     \
      u32 longest, u32 first_only) {                                                           \
    Sizes sizes{cumulative_seq_lengths, texts, heads, size, longest, 0, first_only != 0, 0,    \
                Mask{}, false, Strides{}};                                                     \
    if (blockIdx.y == 0 && by_key)                                                             \
      attention_positions<T, TILE>(key_sums, by_key, key_stride, sizes);                       \
    if (blockIdx.y == 1 && by_query)                                                           \
      attention_positions<T, TILE>(query_sums, by_query, query_stride, sizes);                 \
  }                                                                                            \
  REGISTER(attention_positions_##format##_##TILE)
#define ATTENTION_TILES(T, format) ATTENTION(T, format, 32) ATTENTION(T, format, 16)
FORMATS(ATTENTION_TILES)

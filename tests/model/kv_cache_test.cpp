#include "hone/model/kv_cache.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/random.h"
#include "hone/model/adapter.h"
#include "hone/model/cost.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::model {
namespace {

using hone::test::relative_difference;
using test::small_config;
using test::small_decoder;
using Documents = std::vector<std::vector<int64_t>>;

constexpr double kRounding = 1e-5;  // float32 sums in another order

Decoder wide_decoder(Json config = small_config()) {
  config["initializer_range"] = 0.4;  // so that attention is far from uniform
  Decoder decoder = small_decoder(config);
  decoder->eval();
  return decoder;
}

std::vector<int64_t> random_ids(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<int64_t> ids(count);
  for (int64_t& id : ids) id = static_cast<int64_t>(random.below(40));
  return ids;
}

KvCache empty_cache(const Decoder& decoder) {
  return KvCache(decoder->cache_shapes(), at::TensorOptions().dtype(decoder->dtype()));
}

/// Continues rows first_row... of the cache by these ids. [T, D]
at::Tensor extend(Decoder& decoder, KvCache& cache, int64_t first_row, const Documents& documents) {
  std::vector<int64_t> past;
  for (size_t d = 0; d < documents.size(); ++d) {
    const int64_t row = first_row + static_cast<int64_t>(d);
    past.push_back(row < cache.rows() ? cache.lengths()[row] : 0);
  }
  return decoder->hidden(make_input(documents, decoder->device(), past), cache, first_row);
}

at::Tensor whole(Decoder& decoder, const std::vector<int64_t>& ids) {
  const torch::NoGradGuard no_grad;
  return decoder->hidden(make_input(Documents{ids}, decoder->device()));
}

std::vector<int64_t> part(const std::vector<int64_t>& ids, size_t begin, size_t end) {
  return {ids.begin() + static_cast<ptrdiff_t>(begin), ids.begin() + static_cast<ptrdiff_t>(end)};
}

TEST_CASE("KvCache: new documents give the hidden states of training, to the bit") {
  Decoder decoder = wide_decoder();
  const Documents documents = {random_ids(9, 1), random_ids(4, 2), random_ids(7, 3)};
  KvCache cache = empty_cache(decoder);
  const at::Tensor cached = extend(decoder, cache, 0, documents);
  const torch::NoGradGuard no_grad;
  CHECK(cached.equal(decoder->hidden(make_input(documents, at::kCPU))));
  CHECK(cache.lengths() == std::vector<int64_t>{9, 4, 7});
}

TEST_CASE("KvCache: passes of one and of several positions equal one pass over the whole") {
  std::vector<Json> configs = {small_config(), small_config("qwen2"), small_config("qwen3")};
  configs[0]["num_key_value_heads"] = 1;
  configs[1]["num_key_value_heads"] = 4;
  configs[2]["head_dim"] = 20;
  configs[2]["attention_bias"] = true;
  configs[2]["tie_word_embeddings"] = true;
  for (const Json& config : configs) {
    INFO(config.dump());
    Decoder decoder = wide_decoder(config);
    const Documents documents = {random_ids(30, 1), random_ids(26, 2), random_ids(33, 3)};
    KvCache cache = empty_cache(decoder);
    std::vector<at::Tensor> got(3);
    const auto add = [&](const std::vector<size_t>& begins, const std::vector<size_t>& ends) {
      Documents parts;
      for (size_t d = 0; d < 3; ++d) parts.push_back(part(documents[d], begins[d], ends[d]));
      const at::Tensor hidden = extend(decoder, cache, 0, parts);
      int64_t row = 0;
      for (size_t d = 0; d < 3; ++d) {
        const auto count = static_cast<int64_t>(ends[d] - begins[d]);
        const at::Tensor rows = hidden.slice(0, row, row + count);
        got[d] = got[d].defined() ? at::cat({got[d], rows}) : rows;
        row += count;
      }
    };
    add({0, 0, 0}, {5, 1, 8});                                                          // prompts
    for (size_t i = 0; i < 20; ++i) add({5 + i, 1 + i, 8 + i}, {6 + i, 2 + i, 9 + i});  // one each
    add({25, 21, 28}, {30, 26, 33});  // several behind a past
    for (size_t d = 0; d < 3; ++d) {
      CHECK(relative_difference(got[d], whole(decoder, documents[d])) < kRounding);
    }
  }
}

TEST_CASE("KvCache: an adapter's layers decode as they score") {
  Decoder decoder = wide_decoder();
  add_lora(decoder, {.rank = 2, .dropout = 0.5, .dora = true}, 3);
  {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : trainable_parameters(decoder)) tensor.add_(0.1);
  }
  decoder->eval();
  const std::vector<int64_t> ids = random_ids(20, 4);
  KvCache cache = empty_cache(decoder);
  std::vector<at::Tensor> rows = {extend(decoder, cache, 0, {part(ids, 0, 12)})};
  for (size_t i = 12; i < 20; ++i) rows.push_back(extend(decoder, cache, 0, {{ids[i]}}));
  CHECK(relative_difference(at::cat(rows), whole(decoder, ids)) < kRounding);
}

TEST_CASE("KvCache: in bfloat16 and float64") {
  for (const auto& [dtype, tolerance] : {std::pair{at::kBFloat16, 0.05}, {at::kDouble, 1e-12}}) {
    Decoder decoder = wide_decoder();
    decoder->to(dtype);
    const Documents documents = {random_ids(14, 4), random_ids(11, 5)};
    KvCache cache = empty_cache(decoder);
    extend(decoder, cache, 0, {part(documents[0], 0, 10), part(documents[1], 0, 7)});
    at::Tensor last;
    for (size_t i = 0; i < 4; ++i) {
      last = extend(decoder, cache, 0, {{documents[0][10 + i]}, {documents[1][7 + i]}});
    }
    for (int64_t d = 0; d < 2; ++d) {
      CHECK(relative_difference(last[d], whole(decoder, documents[d])[-1]) < tolerance);
    }
  }
}

TEST_CASE("KvCache: rows join, are dropped, chosen and cut while others go on") {
  Decoder decoder = wide_decoder();
  const Documents documents = {random_ids(20, 1), random_ids(20, 2), random_ids(20, 3),
                               random_ids(20, 4)};
  KvCache cache = empty_cache(decoder);
  std::vector<size_t> rows;  // which document each row of the cache holds
  const auto check_next = [&] {
    Documents next;
    for (size_t row = 0; row < rows.size(); ++row) {
      next.push_back({documents[rows[row]][cache.lengths()[row]]});
    }
    const at::Tensor hidden = extend(decoder, cache, 0, next);
    for (size_t row = 0; row < rows.size(); ++row) {
      const auto seen = part(documents[rows[row]], 0, cache.lengths()[row]);
      const auto index = static_cast<int64_t>(row);
      CHECK(relative_difference(hidden[index], whole(decoder, seen)[-1]) < kRounding);
    }
  };
  extend(decoder, cache, 0, {part(documents[0], 0, 3), part(documents[1], 0, 6)});
  rows = {0, 1};
  check_next();
  extend(decoder, cache, 2, {part(documents[2], 0, 2), part(documents[3], 0, 9)});
  rows = {0, 1, 2, 3};
  check_next();
  cache.drop(1);
  rows = {0, 3, 2};
  check_next();
  cache.drop(2);
  rows = {0, 3};
  CHECK(cache.lengths().size() == 2);
  check_next();
  cache.select({1, 0, 1});
  rows = {3, 0, 3};
  check_next();
  cache.truncate(0, 4);
  check_next();
  cache.select({});
  CHECK(cache.rows() == 0);
}

TEST_CASE("KvCache: capacity is what was asked for, then doubles, and its bytes are as predicted") {
  Decoder decoder = wide_decoder();
  KvCache cache = empty_cache(decoder);
  CHECK(cache.bytes() == 0);
  cache.reserve(2, 10);
  // 3 layers, keys and values of 2 heads of 8 numbers, 4 bytes each
  CHECK(cache.bytes() == 3 * 2 * (2 * 10) * (2 * 8) * 4);
  CHECK(cache.bytes() == Cost(decoder).cache_bytes(at::kFloat, 2, 10));
  const std::vector<int64_t> ids = random_ids(12, 5);
  extend(decoder, cache, 0, {part(ids, 0, 10)});
  CHECK(cache.position_capacity() == 10);
  extend(decoder, cache, 0, {{ids[10]}});
  CHECK(cache.position_capacity() == 20);
  CHECK(cache.row_capacity() == 2);
  const at::Tensor hidden = extend(decoder, cache, 0, {{ids[11]}});
  CHECK(relative_difference(hidden[0], whole(decoder, ids)[-1]) < kRounding);
  extend(decoder, cache, 1, {{1}, {2}});
  CHECK(cache.row_capacity() == 4);
  CHECK(cache.bytes() == Cost(decoder).cache_bytes(at::kFloat, 4, 20));
}

TEST_CASE("KvCache: what cannot be is named") {
  Decoder decoder = wide_decoder();
  KvCache cache = empty_cache(decoder);
  CHECK_THROWS_WITH(extend(decoder, cache, 1, {{1}}),
                    Catch::Contains("first_row must be in [0, 0], got 1"));
  extend(decoder, cache, 0, {{1, 2, 3}});
  CHECK_THROWS_WITH(cache.drop(1), Catch::Contains("row must be in [0, 1), got 1"));
  CHECK_THROWS_WITH(cache.select({0, 2}), Catch::Contains("row must be in [0, 1), got 2"));
  CHECK_THROWS_WITH(cache.truncate(0, 4),
                    Catch::Contains("holds 3 positions and cannot be cut to 4"));
  Json other = small_config();
  other["num_hidden_layers"] = 2;
  KvCache shallow(small_decoder(other)->cache_shapes(), at::kFloat);
  CHECK_THROWS_WITH(extend(decoder, shallow, 0, {{1}}),
                    Catch::Contains("the model's 3 layers, got 2"));
  KvCache half(decoder->cache_shapes(), at::kBFloat16);
  CHECK_THROWS_WITH(extend(decoder, half, 0, {{1}}), Catch::Contains("of q's dtype Float"));
  decoder->train();
  CHECK_THROWS_WITH(extend(decoder, cache, 0, {{1}}), Catch::Contains("call eval() first"));
}

}  // namespace
}  // namespace hone::model

#include "hone/model/resize_vocabulary.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "hone/nn/router.h"

namespace hone::model {
namespace {

void check(const Decoder& decoder, int64_t rows, const NewRows& new_rows) {
  const int64_t old_rows = decoder->config().vocab_size;
  if (rows < old_rows) {
    throw Error(fmt::format("resize_vocabulary: {} rows cannot shrink to {}", old_rows, rows));
  }
  for (const auto& [id, pieces] : new_rows) {
    if (id < 0 || id >= rows) {
      throw Error(fmt::format("resize_vocabulary: new row {} is outside the {} rows", id, rows));
    }
    if (pieces.empty()) throw Error(fmt::format("resize_vocabulary: row {} has no pieces", id));
    for (const int64_t piece : pieces) {
      if (piece < 0 || piece >= old_rows) {
        throw Error(fmt::format("resize_vocabulary: piece {} of row {} is outside the {} old rows",
                                piece, id, old_rows));
      }
    }
  }
}

/// `old` [V, D] with rows added and new ones filled; means in float32.
at::Tensor grown(const at::Tensor& old, int64_t rows, const NewRows& new_rows) {
  at::Tensor table = at::empty({rows, old.size(1)}, old.options());
  table.slice(0, 0, old.size(0)).copy_(old);
  if (rows > old.size(0)) {
    table.slice(0, old.size(0)).copy_(old.mean(0, true, at::kFloat));
  }
  for (const auto& [id, pieces] : new_rows) {
    const at::Tensor index = torch::tensor(pieces, at::kLong).to(old.device());
    table[id].copy_(old.index_select(0, index).mean(0, false, at::kFloat));
  }
  return table;
}

/// Embedding and untied head. Throws: hone::Error, in the name of `who`, where adapters are on
/// them.
std::vector<nn::Embedding> tables_of(const Decoder& decoder, const char* who) {
  std::vector<nn::Embedding> tables = {decoder->embed_tokens};
  if (decoder->lm_head) tables.push_back(decoder->lm_head);
  for (const nn::Embedding& table : tables) {
    if (!table->rows().empty() || !table->weight.requires_grad()) {
      throw Error(fmt::format("{}: the decoder carries an adapter; resize before adding one", who));
    }
  }
  return tables;
}

/// The id whose experts a row that is added takes: that of its first piece, or any.
std::vector<int64_t> like_which(int64_t old_rows, int64_t rows, const NewRows& new_rows) {
  std::vector<int64_t> like;
  for (int64_t id = old_rows; id < rows; ++id) like.push_back(id % old_rows);
  for (const auto& [id, pieces] : new_rows) {
    if (id >= old_rows) like[id - old_rows] = pieces.front();
  }
  return like;
}

}  // namespace

void resize_vocabulary(Decoder& decoder, int64_t rows, const NewRows& new_rows) {
  check(decoder, rows, new_rows);
  const torch::NoGradGuard no_grad;
  for (nn::Embedding& table : tables_of(decoder, "resize_vocabulary")) {
    table->replace_weight(grown(table->weight.detach(), rows, new_rows));
  }
  const std::vector<int64_t> like = like_which(decoder->config().vocab_size, rows, new_rows);
  for (const auto& module : decoder->modules(/*include_self=*/false)) {
    auto* router = module->as<nn::RouterImpl>();
    if (router && router->options.hashed > 0) router->grow(like);
  }
  decoder->set_vocab_size(rows);
}

void keep_vocabulary(Decoder& decoder, const std::vector<int64_t>& kept) {
  const int64_t rows = decoder->config().vocab_size;
  if (kept.empty()) throw Error("keep_vocabulary: no row would be left");
  for (const int64_t row : kept) {
    if (row < 0 || row >= rows) {
      throw Error(fmt::format("keep_vocabulary: row {} is outside the {} rows", row, rows));
    }
  }
  for (const auto& module : decoder->modules(/*include_self=*/false)) {
    const auto* router = module->as<nn::RouterImpl>();
    if (router && router->options.hashed > 0) {
      throw Error("keep_vocabulary: the model chooses experts by token ids");
    }
  }
  const torch::NoGradGuard no_grad;
  for (nn::Embedding& table : tables_of(decoder, "keep_vocabulary")) {
    const at::Tensor index = torch::tensor(kept, at::kLong).to(table->weight.device());
    table->replace_weight(table->weight.detach().index_select(0, index));
  }
  decoder->set_vocab_size(std::ssize(kept));
}

}  // namespace hone::model

#include "hone/run/teacher_cache.h"

#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/hash.h"
#include "hone/io/tensors.h"
#include "support/catch.h"
#include "support/temporary_folder.h"
#include "text/tokenizer_fixture.h"

namespace hone::run {
namespace {

using Catch::Contains;
using data::kIgnoreIndex;

data::Example example(std::vector<int64_t> ids, std::vector<int64_t> targets) {
  const std::vector<float> weights(ids.size(), 1.F);
  return {std::move(ids), std::move(targets), weights};
}

const data::Example kFirst = example({1, 2, 3}, {2, 3, kIgnoreIndex});
const data::Example kSecond = example({4, 5, 6, 7}, {kIgnoreIndex, 6, 7, kIgnoreIndex});

/// A cache of both documents, two tokens a target, numbered from 0 on.
struct Folder : TemporaryFolder {
  std::string shard = path + "/rows-00000.safetensors";
  text::TokenizerFolder text{text::small()};

  explicit Folder(const io::NamedTensors& changes = {}) {
    io::NamedTensors tensors = {{"ids", at::arange(8, at::kInt).view({4, 2})},
                                {"log_probs", -at::arange(8, at::kFloat).view({4, 2})},
                                {"log_tail", -at::arange(4, at::kFloat)},
                                {"labels", torch::tensor({2, 3, 6, 7}, at::kInt)},
                                {"keys", keys()},
                                {"offsets", torch::tensor({0, 2, 4}, at::kLong)}};
    for (const auto& [name, tensor] : changes) {
      for (auto& [known, value] : tensors) {
        if (known == name) value = tensor;
      }
    }
    io::write_safetensors(shard, tensors);
    finish();
  }
  static at::Tensor keys() {
    at::Tensor keys = at::empty({2, 32}, at::kByte);
    auto* bytes = static_cast<char*>(keys.mutable_data_ptr());
    for (const data::Example& one : {kFirst, kSecond}) {
      const std::string key = document_key(one.ids.data(), one.targets.data(), one.length());
      bytes = std::copy(key.begin(), key.end(), bytes);
    }
    return keys;
  }
  void finish(const Json& changes = Json::object()) const {
    CacheInfo info{"a teacher", "weights", tokens_hash(text.tokenizer), 20, 2, "cpu"};
    Json json = info.json();
    json["shards"] = {{{"file", "rows-00000.safetensors"}, {"hash", hash_file(shard)}}};
    json.merge_patch(changes);
    std::ofstream(path + "/" + kTeacherCacheFile) << json;
  }
  TeacherCache open() const { return TeacherCache(path, text.tokenizer); }
};

data::Batch batch(const std::vector<data::Example>& documents) {
  data::Batch batch;
  for (const data::Example& document : documents) batch.append(document);
  return batch;
}

TEST_CASE("Rows are found by the document, in any order") {
  const Folder folder;
  const TeacherCache cache = folder.open();
  CHECK(cache.info().teacher == "a teacher");
  const kernels::TopTokens top = cache.rows(batch({kSecond, kFirst, kSecond}), at::kCPU);
  CHECK(top.vocabulary == 20);
  CHECK(top.ids.equal(
      torch::tensor({0, 0, 4, 5, 6, 7, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 4, 5, 6, 7, 0, 0}, at::kLong)
          .view({11, 2})));
  CHECK(top.log_probs.equal(-top.ids.to(at::kFloat)));
  CHECK(top.log_tail.equal(
      torch::tensor({0., -2., -3., 0., 0., -1., 0., 0., -2., -3., 0.}, at::kFloat)));
}

TEST_CASE("A document that is not there is shown") {
  const Folder folder;
  const TeacherCache cache = folder.open();
  data::Example masked = kSecond;
  masked.targets[1] = kIgnoreIndex;  // the same text, of which less is trained
  CHECK_THROWS_WITH(
      cache.rows(batch({kFirst, masked}), at::kCPU),
      Contains("has no rows for a document") && Contains("begins with the ids 4 5 6 7"));
  auto set = std::make_shared<data::Dataset>();
  set->name = "laws";
  set->examples = {kFirst, masked, kSecond};
  CHECK_THROWS_WITH(cache.check({set}),
                    Contains("no rows for 1 of 3 documents of the data set \"laws\""));
  set->weight = 0;  // not drawn
  CHECK_NOTHROW(cache.check({set}));
}

TEST_CASE("What is no cache, or damaged, is refused") {
  const auto refused = [](const Folder& folder, const char* what) {
    CHECK_THROWS_WITH(folder.open(), Contains(what));
  };
  const Folder damaged;
  std::string bytes = read_file(damaged.shard);
  bytes.back() ^= 1;
  std::ofstream(damaged.shard) << bytes;
  refused(damaged, "rows-00000.safetensors: is damaged");
  refused(Folder({{"labels", at::zeros({5}, at::kInt)}}),
          "no shard of a teacher's cache: it needs I32 ids");
  refused(Folder({{"log_tail", at::zeros({4}, at::kDouble)}}), "it needs F32 log_tail");
  refused(Folder({{"offsets", torch::tensor({0, 3, 2}, at::kLong)}}), "offsets are not in order");
  refused(Folder({{"offsets", torch::tensor({0, 2, 5}, at::kLong)}}), "offsets are not in order");
  const Folder json;
  json.finish({{"top_k", 21}});
  refused(json, "top_k: is over the vocabulary");
  json.finish({{"tokens", "others"}});
  refused(json, "was written with another tokenizer");
  std::filesystem::remove(json.path + "/" + kTeacherCacheFile);
  refused(json, "holds no finished cache of a teacher");

  const auto bad_rows = [](const Folder& folder) {
    const TeacherCache cache = folder.open();
    CHECK_THROWS_WITH(cache.rows(batch({kFirst}), at::kCPU),
                      Contains("holds rows of other targets"));
  };
  bad_rows(Folder({{"labels", torch::tensor({2, 4, 6, 7}, at::kInt)}}));
  bad_rows(Folder({{"ids", at::full({4, 2}, 20, at::kInt)}}));
  bad_rows(Folder({{"ids", at::full({4, 2}, -1, at::kInt)}}));
  bad_rows(Folder({{"offsets", torch::tensor({0, 1, 4}, at::kLong)}}));
}

TEST_CASE("tokens_hash tells vocabularies apart") {
  Json other = text::small_json();
  other["added_tokens"][0]["content"] = "<t>";
  CHECK(tokens_hash(text::small()) == tokens_hash(text::small()));
  CHECK(tokens_hash(text::small()) != tokens_hash(text::Tokenizer::from_json(other, "other")));
}

}  // namespace
}  // namespace hone::run

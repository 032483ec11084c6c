#include "hone/io/checkpoint.h"

#include <torch/types.h>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/io/atomic.h"
#include "support.h"
#include "support/catch.h"

namespace hone::io {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

const Json kConfig = {{"model_type", "llama"}, {"zeta", 1}, {"alpha", {{"b", 1}, {"a", 2.5}}}};

NamedTensors some_tensors() {
  return {{"w.a", torch::arange(8, torch::kFloat)},
          {"w.b", torch::arange(4, torch::kFloat).to(torch::kBFloat16)},
          {"w.c", torch::arange(6, torch::kFloat).view({2, 3})}};
}

TEST_CASE("a checkpoint in one file comes back, config keys in their order") {
  const TemporaryFolder root;
  const std::string folder = root.file("model");
  save_checkpoint(folder, kConfig, some_tensors());
  CHECK(verify_manifest(folder) == std::nullopt);
  CHECK_FALSE(fs::exists(folder + "/model.safetensors.index.json"));
  const Checkpoint checkpoint = Checkpoint::open(folder);
  CHECK(checkpoint.config().dump() == kConfig.dump());
  CHECK(checkpoint.names() == std::vector<std::string>{"w.a", "w.b", "w.c"});
  CHECK(checkpoint.has("w.a"));
  CHECK(checkpoint.shape("w.c") == std::vector<int64_t>{2, 3});
  CHECK(checkpoint.dtype("w.b") == torch::kBFloat16);
  CHECK(checkpoint.bytes() == 32 + 8 + 24);
  for (const auto& [name, tensor] : some_tensors()) CHECK(checkpoint.load(name).equal(tensor));
  CHECK_FALSE(checkpoint.has("w.d"));
  CHECK_THROWS_WITH(checkpoint.load("w.aa"),
                    folder + ": has no tensor \"w.aa\"; did you mean w.a?");
}

TEST_CASE("a checkpoint in shards comes back and replaces an older one") {
  const TemporaryFolder root;
  const std::string folder = root.file("model");
  save_checkpoint(folder, kConfig, {{"old", torch::ones({1})}});
  const std::string old_hash = Checkpoint::open(folder).hash();
  save_checkpoint(folder, kConfig, some_tensors(), {.max_shard_bytes = 40});
  CHECK_FALSE(fs::exists(folder + "/model.safetensors"));
  CHECK(fs::exists(folder + "/model-00002-of-00002.safetensors"));
  const Json index = read_json_file(folder + "/model.safetensors.index.json");
  CHECK(index["metadata"]["total_size"] == 64);
  CHECK(index["weight_map"]["w.c"] == "model-00002-of-00002.safetensors");
  const Checkpoint checkpoint = Checkpoint::open(folder);
  for (const auto& [name, tensor] : some_tensors()) CHECK(checkpoint.load(name).equal(tensor));
  CHECK(checkpoint.hash() != old_hash);
  CHECK(checkpoint.hash() == Checkpoint::open(folder).hash());
  CHECK(std::distance(fs::directory_iterator(root.path), fs::directory_iterator()) == 1);
}

TEST_CASE("files beside the weights are carried over unless the caller wrote them") {
  const TemporaryFolder root;
  fs::create_directory(root.file("source"));
  root.write("source/tokenizer.json", "{ \"theirs\" : 1 }");
  root.write("source/chat_template.jinja", "{{ x }}\r\n");
  root.write("source/pytorch_model.bin", "pickle");
  root.write("source/modeling_evil.py", "code");
  AtomicFolder atomic(root.file("target"));
  std::ofstream(atomic.path() + "/tokenizer.json") << "ours";
  write_checkpoint(atomic.path(), kConfig, some_tensors(), {.source_folder = root.file("source")});
  atomic.commit();
  CHECK(read_file(root.file("target/tokenizer.json")) == "ours");
  CHECK(read_file(root.file("target/chat_template.jinja")) == "{{ x }}\r\n");
  CHECK_FALSE(fs::exists(root.file("target/pytorch_model.bin")));
  CHECK_FALSE(fs::exists(root.file("target/modeling_evil.py")));
}

TEST_CASE("folders without safetensors are refused with the reason") {
  const TemporaryFolder root;
  CHECK_THROWS_WITH(Checkpoint::open(root.path), Catch::Contains("config.json: cannot open"));
  root.write("config.json", "[]");
  CHECK_THROWS_WITH(Checkpoint::open(root.path), Catch::Contains("is no JSON object"));
  root.write("config.json", "{}");
  CHECK_THROWS_WITH(
      Checkpoint::open(root.path),
      root.path + ": holds neither model.safetensors nor model.safetensors.index.json");
  for (const char* name : {"pytorch_model.bin", "model.pt", "x.pth", "x.ckpt"}) {
    const std::string path = root.write(name, "\x80\x02");
    CHECK_THROWS_WITH(Checkpoint::open(root.path),
                      Catch::StartsWith(path + ": is a Python pickle, which can run any code"));
    fs::remove(path);
  }
}

TEST_CASE("shards and index must agree on every tensor") {
  const TemporaryFolder root;
  root.write("config.json", "{}");
  const auto write = [&](const std::string& file, const std::vector<std::string>& names) {
    NamedTensors tensors;
    for (const std::string& name : names) tensors.emplace_back(name, torch::ones({1}));
    write_safetensors(root.file(file), tensors);
  };
  const auto index = [&](const Json& map) {
    root.write("model.safetensors.index.json", Json({{"weight_map", map}}).dump());
  };
  write("1.safetensors", {"a"});
  write("2.safetensors", {"b"});
  index({{"a", "1.safetensors"}, {"b", "2.safetensors"}});
  CHECK(Checkpoint::open(root.path).names().size() == 2);

  index({{"a", "1.safetensors"}, {"b", "3.safetensors"}});
  CHECK_THROWS_WITH(Checkpoint::open(root.path), Catch::Contains("3.safetensors: cannot open"));
  index({{"a", "1.safetensors"}, {"b", "1.safetensors"}});
  CHECK_THROWS_WITH(
      Checkpoint::open(root.path),
      Catch::Contains("1.safetensors: lacks tensor \"b\", which the index places in it"));
  index({{"a", "2.safetensors"}, {"b", "2.safetensors"}});
  CHECK_THROWS_WITH(Checkpoint::open(root.path), Catch::Contains("lacks tensor \"a\""));
  index({{"a", "1.safetensors"}, {"b", "2.safetensors"}});
  write("2.safetensors", {"b", "a"});
  CHECK_THROWS_WITH(
      Checkpoint::open(root.path),
      Catch::Contains(
          "2.safetensors: holds tensor \"a\", which the index places in 1.safetensors"));
  write("2.safetensors", {"b", "c"});
  CHECK_THROWS_WITH(Checkpoint::open(root.path),
                    Catch::Contains("holds tensor \"c\", which the index places nowhere"));
}

TEST_CASE("write_checkpoint: shards are cut by the bytes that are written") {
  const TemporaryFolder root;
  const NamedTensors tensors = {{"a", torch::ones({10})}, {"b", torch::ones({10})}};
  const std::string folder = root.path + "/c";
  save_checkpoint(folder, Json::object(), tensors,
                  {.max_shard_bytes = 40, .types = {{"a", at::kBFloat16}, {"b", at::kBFloat16}}});
  CHECK(Checkpoint::open(folder).bytes() == 40);
  CHECK(path_exists(folder + "/model.safetensors"));
}

TEST_CASE("write_checkpoint: what the disk has no room for is refused before anything is written") {
  const TemporaryFolder root;
  const at::Tensor large = at::empty({int64_t{1} << 50}, at::TensorOptions(at::kMeta));
  CHECK_THROWS_WITH(write_checkpoint(root.path, Json::object(), {{"a", large}}, {}),
                    Catch::StartsWith(root.path + ": the disk has "));
  CHECK(fs::is_empty(root.path));
}

}  // namespace
}  // namespace hone::io

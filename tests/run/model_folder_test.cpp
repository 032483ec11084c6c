#include "hone/run/model_folder.h"

#include <torch/types.h>

#include <filesystem>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/model/adapter.h"
#include "recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;
namespace fs = std::filesystem;

namespace {

/// A folder with an adapter_config.json that names `base`; "" for none.
std::string adapter_naming(const test::RecipeFolder& folder, const std::string& base) {
  Json config = {{"peft_type", "LORA"}};
  if (!base.empty()) config["base_model_name_or_path"] = base;
  folder.write("adapter/adapter_config.json", config.dump());
  return folder.file("adapter");
}

}  // namespace

TEST_CASE("A checkpoint folder is found by its name, and in a run's model/") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base");
  CHECK(ModelFolders::find(model).model == model);
  CHECK_FALSE(ModelFolders::find(model).adapter);
  fs::create_directories(folder.file("run"));
  fs::rename(model, folder.file("run/model"));
  CHECK(ModelFolders::find(folder.file("run")).model == folder.file("run/model"));
  CHECK_THROWS_WITH(ModelFolders::find(folder.file("nothing")),
                    folder.file("nothing") + ": there is no such folder");
  CHECK_THROWS_WITH(ModelFolders::find(folder.file("run"), "a base"),
                    folder.file("run") + ": is no adapter: --base has no effect; remove it");
}

TEST_CASE("Weights in shards count as weights") {
  const test::RecipeFolder folder;
  folder.write("run/model/config.json", "{}");
  CHECK(ModelFolders::find(folder.file("run")).model == folder.file("run"));
  folder.write("run/model/model.safetensors.index.json", "{}");
  CHECK(ModelFolders::find(folder.file("run")).model == folder.file("run/model"));
}

TEST_CASE("An adapter's base is the one given, or the one that it names") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base");
  CHECK(ModelFolders::find(adapter_naming(folder, model)).model == model);
  CHECK(ModelFolders::find(adapter_naming(folder, model)).adapter == folder.file("adapter"));
  // From the adapter's own folder before the working one's.
  CHECK(fs::equivalent(ModelFolders::find(adapter_naming(folder, "../base")).model, model));
  CHECK(ModelFolders::find(adapter_naming(folder, "elsewhere"), model).model == model);
  CHECK_THROWS_WITH(ModelFolders::find(adapter_naming(folder, "")),
                    folder.file("adapter") +
                        "/adapter_config.json: names no base_model_name_or_path; give the base by "
                        "--base");
  CHECK_THROWS_WITH(ModelFolders::find(adapter_naming(folder, "/nothing/here")),
                    Catch::StartsWith(folder.file("adapter") + "/adapter_config.json: names ") &&
                        Catch::Contains("/nothing/here") && Catch::EndsWith("give it by --base"));
}

TEST_CASE("A model opens with its adapter in place, and one that does not fit is refused") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base");
  OpenModel open = open_model({model, {}}, at::kCPU, at::kFloat);
  CHECK(open.config.at("model_type") == "llama");
  CHECK(open.types.at("lm_head.weight") == at::kFloat);
  CHECK_FALSE(model::has_adapter(open.decoder));

  model::add_lora(open.decoder, {.rank = 3, .alpha = 3}, 1);
  fs::create_directories(folder.file("adapter"));
  io::AdapterFiles files = model::adapter_files(open.decoder, model);
  io::write_adapter(folder.file("adapter"), files);
  CHECK(
      open_model({model, folder.file("adapter")}, at::kCPU, at::kFloat).decoder->adapter()->rank ==
      3);
  for (auto& [name, tensor] : files.tensors) tensor = at::ones({3, 3});
  io::write_adapter(folder.file("adapter"), files);
  CHECK_THROWS_WITH(
      open_model({model, folder.file("adapter")}, at::kCPU, at::kFloat),
      Catch::StartsWith(folder.file("adapter") + ": does not fit the base " + model + ": "));
}

TEST_CASE("The tokenizer is the adapter's where it has one of its own") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base"), adapter = folder.file("adapter");
  fs::create_directories(adapter);
  CHECK(open_tokenizer({model, adapter}).tokenizer.source() == model + "/tokenizer.json");
  fs::copy(model + "/tokenizer.json", adapter + "/tokenizer.json");
  CHECK(open_tokenizer({model, adapter}).tokenizer.source() == adapter + "/tokenizer.json");
  CHECK(open_tokenizer({model, {}}).tokenizer.source() == model + "/tokenizer.json");
}

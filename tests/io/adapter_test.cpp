#include "hone/io/adapter.h"

#include <torch/types.h>

#include "hone/core/error.h"
#include "hone/io/files.h"
#include "hone/io/tensors.h"
#include "support.h"
#include "support/catch.h"

namespace hone::io {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

TEST_CASE("an adapter comes back; what PEFT would not take is refused") {
  const TemporaryFolder root;
  AdapterFiles files;
  files.config = {{"peft_type", "LORA"}, {"target_modules", {"q_proj"}}, {"r", 8}};
  const std::string name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
  files.tensors[name] = torch::randn({8, 4});
  write_adapter(root.path, files);
  const AdapterFiles read = read_adapter(root.path);
  CHECK(read.config.dump() == files.config.dump());
  REQUIRE(read.tensors.size() == 1);
  CHECK(read.tensors.at(name).equal(files.tensors[name]));
  CHECK(Safetensors(root.file("adapter_model.safetensors")).metadata().at("format") == "pt");

  const auto with = [&](const char* key, const Json& value) {
    AdapterFiles changed = files;
    changed.config[key] = value;
    return changed;
  };
  CHECK_THROWS_WITH(write_adapter(root.path, with("peft_type", "IA3")),
                    Catch::Contains("expected peft_type \"LORA\", got \"IA3\""));
  CHECK_THROWS_WITH(write_adapter(root.path, with("target_modules", nullptr)),
                    Catch::Contains("has neither target_modules nor target_parameters"));
  AdapterFiles foreign = files;
  foreign.tensors["q_proj.lora_A.weight"] = torch::ones({1});
  CHECK_THROWS_WITH(write_adapter(root.path, foreign),
                    Catch::Contains("PEFT's names begin with \"base_model.model.\""));
  foreign.tensors.clear();
  CHECK_THROWS_WITH(write_adapter(root.path, foreign), Catch::Contains("holds no tensor"));
  fs::rename(root.file("adapter_model.safetensors"), root.file("adapter_model.bin"));
  CHECK_THROWS_WITH(read_adapter(root.path),
                    Catch::Contains("adapter_model.bin: is a Python pickle"));
}

TEST_CASE("read_adapter: integers are no weights") {
  const TemporaryFolder root;
  const std::string name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
  write_file(root.path + "/adapter_config.json",
             R"({"peft_type": "LORA", "target_modules": ["q_proj"]})");
  write_safetensors(root.path + "/adapter_model.safetensors",
                    {{name, torch::ones({2, 2}, at::kChar)}});
  CHECK_THROWS_WITH(read_adapter(root.path),
                    Catch::Contains(name) && Catch::Contains("is I8, but weights must be"));
}

}  // namespace
}  // namespace hone::io

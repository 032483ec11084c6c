#include "hone/run/saving.h"

#include <torch/types.h>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "model/quantised.h"
#include "recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;

TEST_CASE("Each name of a type is that type, and auto is none") {
  CHECK(scalar_type(SaveDtype::kFloat32) == at::kFloat);
  CHECK(scalar_type(SaveDtype::kBFloat16) == at::kBFloat16);
  CHECK(scalar_type(SaveDtype::kFloat16) == at::kHalf);
  CHECK_THROWS_WITH(scalar_type(SaveDtype::kAuto), "save.dtype auto is no type of its own");
}

TEST_CASE("A model is written in the types that it came in, or all in the one asked for") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("half", 0, at::kBFloat16);
  const Config config = folder.config_of(model);
  const Base base = load_base(config, text::TokenizerFolder::load(model), {});
  CHECK(base.decoder->parameters()[0].scalar_type() == at::kFloat);  // as it computes
  const auto types = save_options(base, SaveDtype::kAuto).types;
  REQUIRE_FALSE(types.empty());
  for (const auto& [name, type] : types) CHECK(type == at::kBFloat16);
  for (const auto& [name, type] : save_options(base, SaveDtype::kFloat32).types) {
    CHECK(type == at::kFloat);
  }
  CHECK(describe_save(config) == "bfloat16, as the base came");
}

TEST_CASE("What float16 cannot hold stays float32") {
  const test::RecipeFolder folder;
  const Config config = folder.config();
  const Base base = load_base(config, make_tokenizer(config).text, {});
  {
    const torch::NoGradGuard no_grad;
    base.decoder->lm_weight().flatten()[3].fill_(1e6);
  }
  int64_t floats = 0, halves = 0;
  for (const auto& [name, type] : save_options(base, SaveDtype::kFloat16).types) {
    (type == at::kFloat ? floats : halves) += 1;
  }
  CHECK(floats == 1);
  CHECK(halves > 5);
}

TEST_CASE("An adapter is written as it came, else as it is, or in the type asked for") {
  Base base;
  const io::AdapterFiles files{Json::object(), {{"a", at::ones({2})}, {"b", at::full({2}, 2.0)}}};
  base.adapter_types = {{"a", at::kHalf}};
  const auto kept = in_save_types(files, base, SaveDtype::kAuto);
  CHECK(kept.tensors.at("a").scalar_type() == at::kHalf);
  CHECK(kept.tensors.at("b").scalar_type() == at::kFloat);
  const auto asked = in_save_types(files, base, SaveDtype::kBFloat16);
  for (const auto& [name, tensor] : asked.tensors) CHECK(tensor.scalar_type() == at::kBFloat16);
  CHECK(at::equal(asked.tensors.at("b").to(at::kFloat), files.tensors.at("b")));
}

TEST_CASE("Types in words, the main one first") {
  const model::NamedTensors tensors = {{"small", at::ones({2})}, {"large", at::ones({100})}};
  CHECK(types_text(tensors, {}) == "float32");
  CHECK(types_text(tensors, {.types = {{"large", at::kBFloat16}}}) == "bfloat16 and float32");
  CHECK(types_text(tensors, {.types = {{"small", at::kBFloat16}}}) == "float32 and bfloat16");
  CHECK(types_text(tensors, {.types = {{"small", at::kHalf}, {"large", at::kHalf}}}) == "float16");
}

TEST_CASE("What a run writes is said before it begins") {
  const test::RecipeFolder folder;
  CHECK(describe_save(folder.config()) == "float32");
  CHECK(describe_save(folder.config({{"save", {{"dtype", "float16"}}}})) ==
        "float16, as save.dtype says");
  std::filesystem::create_directories(folder.file("mixed"));
  io::write_checkpoint(folder.file("mixed"), {{"model_type", "llama"}},
                       {{"a", at::ones({100}, at::kBFloat16)}, {"b", at::ones({3})}}, {});
  CHECK(describe_save(folder.config_of(folder.file("mixed"))) ==
        "bfloat16 and others, as the base came");
}

TEST_CASE("A quantised model is written quantised, or as numbers in the type asked for") {
  const test::RecipeFolder folder;
  const std::string half = folder.model("half", 0, at::kBFloat16), model = folder.file("fp8");
  const io::Checkpoint plain = io::Checkpoint::open(half);
  model::NamedTensors tensors;
  for (const std::string& name : plain.names()) tensors.emplace_back(name, plain.load(name));
  io::save_checkpoint(model, model::test::quantised_config(plain.config()),
                      model::test::quantised_tensors(tensors), {.source_folder = half});
  const Config config = folder.config_of(model);
  const Base base = load_base(config, text::TokenizerFolder::load(model), {});
  const model::NamedTensors weights = base.decoder->hf_tensors();
  const auto as_it_came = save_options(base, SaveDtype::kAuto);
  REQUIRE(as_it_came.quantised_as == base.quantised.get());
  CHECK(types_text(weights, as_it_came) == "bfloat16 and fp8");  // most are the embedding's
  CHECK(describe_save(config) == "bfloat16 and others, as the base came");
  const auto as_numbers = save_options(base, SaveDtype::kBFloat16);
  CHECK(as_numbers.quantised_as == nullptr);
  CHECK(types_text(weights, as_numbers) == "bfloat16");
}

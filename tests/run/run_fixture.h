/// A run of a small model that is ready to train, without a recipe's files.
#pragma once
#include <torch/types.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hone/io/run_folder.h"
#include "hone/model/adapter.h"
#include "hone/optim/adamw.h"
#include "hone/run/config.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"
#include "hone/run/part.h"
#include "model/support.h"
#include "support/temporary_folder.h"
#include "text/tokenizer_fixture.h"

namespace hone::test {

using run::DecoderStep, run::Config, run::Data, run::ReadyRun;

/// The small decoder's config.json with what pruning left of six layers: numbers 2, 3 and 5.
inline Json pruned_config() {
  Json config = model::test::small_config();
  config["num_hidden_layers"] = 6;
  config["hone_pruned"] = {
      {"layers", {{{"index", 2}}, {{"index", 3}, {"heads", {0, 1, 2}}}, {{"index", 5}}}}};
  return config;
}

struct SmallRun {
  explicit SmallRun(const Json& json, Config recipe = {})
      : config(std::move(recipe)), decoder(model::test::small_decoder(json)) {
    auto set = std::make_shared<data::Dataset>();
    set->name = set->domain = "law";
    for (int64_t i = 0; i < 20; ++i) {
      data::Example example{{1, 2 + i % 5, 3}, {2 + i % 5, 3, data::kIgnoreIndex}, {1, 1, 1}};
      set->examples.push_back(std::move(example));
    }
    data.domains = {"law"};
    data.train = {set};
    loader =
        std::make_unique<data::Loader>(data.train, data::LoaderOptions{.tokens_per_batch = 24});
    step = std::make_unique<DecoderStep>(decoder, std::vector{1.0});
    ready.emplace(ReadyRun{config, decoder, *loader, *step, data, folder, manifest, text});
  }

  optim::FusedAdamW optimizer(double lr = 0.01) const {
    return {model::trainable_parameters(decoder), {.lr = lr}};
  }

  TemporaryFolder temporary;
  text::TokenizerFolder text{hone::text::small()};
  Config config;
  model::Decoder decoder;
  Data data;
  std::unique_ptr<data::Loader> loader;
  std::unique_ptr<DecoderStep> step;
  io::RunFolder folder = io::RunFolder::create(temporary.path + "/run", false);
  Json manifest = Json::object();
  std::optional<ReadyRun> ready;
};

/// The layers of which something trains, as tensor names call them.
inline std::set<std::string> trained_layers(const SmallRun& run) {
  std::set<std::string> layers;
  for (const auto& item : run.decoder->named_parameters()) {
    if (item.value().requires_grad() && item.key().starts_with("layers.")) {
      layers.insert(item.key().substr(7, 1));
    }
  }
  return layers;
}

}  // namespace hone::test

#include "hone/run/config.h"

#include "hone/config/reader.h"
#include "hone/config/writer.h"
#include "hone/run/architecture.h"
#include "hone/run/data.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;

namespace {

/// The problems of a recipe, one "<path>: <message>" a line.
std::string problems(const char* json) {
  try {
    config::read_config<run::Config>(parse_json(json, "recipe"));
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

const char* const kSmall = R"({"about": "x", "architecture": {},
  "data": {"train": [{"files": ["a.jsonl"], "domain": "law"}]}})";

}  // namespace

TEST_CASE("A small recipe reads, and its resolved form reads back the same") {
  const auto config = config::read_config<run::Config>(parse_json(kSmall, "recipe"));
  CHECK(config.architecture);
  const Json resolved = config::to_json(config);
  CHECK(config::to_json(config::read_config<run::Config>(resolved)) == resolved);
  CHECK_FALSE(resolved.contains("lora"));
}

TEST_CASE("Every contradiction is reported at once") {
  const std::string text =
      problems(R"({"about": "x", "model": "m", "architecture": {}, "tokenizer": {},
    "lora": {"rank": 4}, "tuning": "full", "weights": {"domains": {"laws": 2}},
    "guard": {"domain": "general"},
    "data": {"train": [{"files": ["a.jsonl"], "domain": "law", "name": "s"},
                       {"files": ["b.jsonl"], "domain": "law", "name": "s"}]}})");
  for (const char* expected :
       {"/model: give either a checkpoint folder or an architecture",
        "/tokenizer: has no effect with a model", "/lora: has no effect with tuning full",
        "/data/train/1/name: is used by two data sets",
        "/weights/domains/laws: no data set in data.train has the domain \"laws\"; did you mean "
        "law?",
        "/guard/domain: no data set in data.held_out has the domain \"general\"",
        "/train/eval_every: must be above 0 for the guard to act"}) {
    INFO(text);
    CHECK(text.find(expected) != std::string::npos);
  }
}

TEST_CASE("Weights of 0 must leave something to train, and the guard something to raise") {
  const auto with = [](const std::string& keys, const std::string& weight = "1") {
    return problems((R"({"about": "x", "architecture": {}, "train": {"eval_every": 5},
      "data": {"train": [{"files": ["a.jsonl"], "domain": "law", "weight": )" +
                     weight + R"(},
                         {"files": ["b.jsonl"], "domain": "general"}],
               "held_out": [{"files": ["c.jsonl"], "domain": "general"}]}, )" +
                     keys + "}")
                        .c_str());
  };
  CHECK(with(R"("weights": {"domains": {"general": 0}})").empty());
  CHECK(with(R"("weights": {"default_weight": 0, "domains": {"law": 1}})").empty());
  CHECK_THAT(with(R"("weights": {"default_weight": 0})"),
             Catch::Contains("/data/train: leaves nothing to train"));
  CHECK_THAT(with(R"("weights": {"domains": {"general": 0}})", "0"),
             Catch::Contains("/data/train: leaves nothing to train"));
  CHECK_THAT(with(R"("weights": {"domains": {"general": 0}},
                      "guard": {"domain": "general", "action": "rebalance"})"),
             Catch::Contains("/guard/action: rebalance cannot raise the share of \"general\""));
}

TEST_CASE("Keys that only training uses are refused where nothing is trained") {
  const std::string text = problems(R"({"about": "x", "model": "m", "train": {"steps": 0, "lr": 1},
    "vocabulary": {"new_tokens": 5}, "data": {"held_out": [{"files": ["a.jsonl"]}]}})");
  INFO(text);
  CHECK(text.find("/vocabulary: has no effect with train.steps 0") != std::string::npos);
  CHECK(text.find("/train/lr: has no effect with steps 0") != std::string::npos);
}

TEST_CASE("An adapter to begin with brings its own options, or is merged first") {
  const auto found = [](const std::string& rest) {
    return problems(
        (R"({"about": "x", "model": "m", "data": {"train": [{"files": ["a.jsonl"]}]}, )" + rest +
         "}")
            .c_str());
  };
  CHECK(found(R"("tuning": "lora", "lora": {"from": "a"})").empty());
  CHECK(
      found(R"("tuning": "lora", "lora": {"from": "a", "merge_first": true, "rank": 4})").empty());
  CHECK(found(R"("lora": {"from": "a", "merge_first": true})").empty());
  CHECK(found(R"("tuning": "lora", "lora": {"from": "a", "rank": 4})") ==
        "/lora/rank: has no effect with from, whose adapter has options of its own; remove it");
  CHECK(found(R"("tuning": "lora", "lora": {"merge_first": true})") ==
        "/lora/merge_first: has no effect without from; remove it");
  CHECK(
      found(R"("lora": {"from": "a"})").starts_with("/lora/merge_first: must be true with tuning"));
  CHECK(found(R"("lora": {"from": "a", "merge_first": true, "rank": 4})") ==
        "/lora/rank: has no effect with tuning full; remove it");
  CHECK(found(R"("tuning": "lora", "lora": {"from": "a"}, "vocabulary": {"new_tokens": 3})")
            .starts_with("/lora/from: an adapter that is trained on has no rows for new tokens"));
  const Json resolved = config::to_json(config::read_config<run::Config>(parse_json(
      R"({"about": "x", "model": "m", "tuning": "lora", "lora": {"from": "a"},
          "data": {"train": [{"files": ["a.jsonl"]}]}})",
      "recipe")));
  CHECK(resolved.at("lora").at("from") == "a");
  CHECK_FALSE(resolved.at("lora").contains("rank"));
  CHECK(config::to_json(config::read_config<run::Config>(resolved)) == resolved);
}

TEST_CASE("The configuration of an older run gets the keys that came since at their defaults") {
  const Json now = config::to_json(config::read_config<run::Config>(parse_json(kSmall, "r")));
  Json then = now;
  for (const char* key : {"save", "prompts"}) then.erase(key);
  CHECK(config::to_json(config::read_config<Config>(then)) == now);
}

TEST_CASE("Every file that is not there is named before anything runs") {
  auto config = config::read_config<run::Config>(parse_json(kSmall, "recipe"));
  config.weights.entity_file = "terms.txt";
  CHECK_THROWS_WITH(run::check_files(config),
                    "/data/train/0/files/0: there is no file a.jsonl\n"
                    "/weights/entity_file: there is no file terms.txt");
}

TEST_CASE("An architecture becomes a config.json of its family") {
  const Json json = run::architecture_config(
      {.model_type = model::model_type("qwen3"), .num_key_value_heads = 2}, 1000, 0, 1);
  CHECK(json.at("architectures")[0] == "Qwen3ForCausalLM");
  CHECK(json.at("vocab_size") == 1024);
  CHECK(json.at("num_key_value_heads") == 2);
  CHECK(json.at("head_dim") == 64);
  CHECK(json.at("eos_token_id") == 1);
}

TEST_CASE("Names of other trainers lead to ours") {
  const auto hint = [](const std::string& members) {
    return problems(
        (R"({"architecture": {}, "data": {"train": [{"files": ["a.jsonl"]}]}, )" + members + "}")
            .c_str());
  };
  const std::pair<const char*, const char*> names[] = {
      {"learning_rate", "train.lr"},
      {"gradient_accumulation_steps", "train.accumulation"},
      {"target_modules", "lora.targets"},
      {"lora_alpha", "lora.alpha"},
      {"per_device_train_batch_size", "data.tokens_per_batch"},
      {"max_steps", "train.steps"},
      {"warmup_ratio", "train.warmup_ratio"},
      {"cutoff_len", "data.train[].max_length"},
      {"model_name_or_path", "model"},
      {"gradient_checkpointing", "memory.checkpoint_every"}};
  for (const auto& [theirs, ours] : names) {
    CHECK(hint("\"" + std::string(theirs) + "\": 1") ==
          "/" + std::string(theirs) + ": unknown key; did you mean " + ours + "?");
  }
  CHECK_THAT(hint(R"("num_train_epochs": 3)"), Catch::Contains("did you mean train."));
  CHECK_THAT(hint(R"("lora": {"r": 8})"),
             Catch::Contains("/lora/r: unknown key; did you mean lora.rank?"));
  CHECK_THAT(hint(R"("train": {"learning_rate": 1})"),
             Catch::Contains("/train/learning_rate: unknown key; did you mean train.lr?"));
  CHECK_THAT(hint(R"("lora": {"form": "x"})"),
             Catch::Contains("/lora/form: unknown key; did you mean from?"));
  CHECK_THAT(hint(R"("controllers": {})"), Catch::Contains("recipes of hone-dynamic have it"));
}

TEST_CASE("A recipe needs no words about itself") {
  CHECK(problems(R"({"architecture": {}, "data": {"train": [{"files": ["a.jsonl"]}]}})").empty());
}

TEST_CASE("Epochs stand instead of steps, and the resolved recipe reads back") {
  CHECK_THAT(problems(R"({"about": "x", "model": "m", "train": {"epochs": 2, "steps": 10},
                          "data": {"train": [{"files": ["a.jsonl"]}]}})"),
             Catch::Contains("/train/steps: has no effect with epochs, which decide them"));
  CHECK_THAT(problems(R"({"about": "x", "model": "m", "train": {"epochs": 0},
                          "data": {"train": [{"files": ["a.jsonl"]}]}})"),
             Catch::Contains("/train/epochs: must be in"));
  const auto config = config::read_config<run::Config>(parse_json(
      R"({"about": "x", "model": "m", "train": {"epochs": 1.5},
          "data": {"train": [{"files": ["a.jsonl"]}]}})",
      "recipe"));
  const Json resolved = config::to_json(config);
  CHECK_FALSE(resolved.at("train").contains("steps"));
  CHECK(config::to_json(config::read_config<run::Config>(resolved)) == resolved);
}

TEST_CASE("Rows held out of the training sets are scored as sets of their domains") {
  const auto config = config::read_config<run::Config>(parse_json(
      R"({"about": "x", "model": "m", "guard": {"domain": "law"}, "train": {"eval_every": 5},
          "data": {"validation": {"rows": 20}, "held_out": [{"files": ["h.jsonl"]}],
                   "train": [{"files": ["a.jsonl"], "domain": "law"}, {"files": ["b.jsonl"]}]}})",
      "recipe"));
  const auto train = config.data.train_sets(), held_out = config.data.held_out_sets();
  REQUIRE(train.size() == 2);
  REQUIRE(held_out.size() == 3);
  CHECK_FALSE(train[0].portion->held_out);
  CHECK(held_out[1].portion->held_out);
  CHECK(held_out[1].domain == "law");
  CHECK(held_out[1].label() == "a");
  const char* const base = R"({"about": "x", "model": "m", "data": {"validation": %s,
                               "train": [{"files": ["a.jsonl"]}], "held_out": %s}})";
  const auto with = [&](const char* validation, const char* sets) {
    char text[512];
    std::snprintf(text, sizeof text, base, validation, sets);
    return problems(text);
  };
  CHECK_THAT(with(R"({"share": 0.1, "rows": 5})", "[]"),
             Catch::Contains("/data/validation/rows: is given beside share; keep one of them"));
  CHECK_THAT(with("{}", "[]"), Catch::Contains("/data/validation/share: or rows must be given"));
  CHECK_THAT(with(R"({"share": 1})", "[]"), Catch::Contains("/data/validation/share: must be in"));
  CHECK_THAT(with(R"({"rows": 5})", R"([{"files": ["a.jsonl"]}])"),
             Catch::Contains("is used by two data sets: \"a\""));
}

TEST_CASE("Columns that no format knows are refused with the nearest name") {
  const auto with = [](const std::string& set) {
    return problems((R"({"about": "x", "model": "m", "data": {"train": [)" + set + "]}}").c_str());
  };
  CHECK_THAT(with(R"({"files": ["a.csv"], "columns": {"promt": "q"}})"),
             Catch::Contains("/data/train/0/columns/promt: no format has this column; did you mean "
                             "prompt?"));
  CHECK_THAT(with(R"({"files": ["a.csv"], "format": "text", "columns": {"prompt": "q"}})"),
             Catch::Contains("format text has no such column; known: text"));
  CHECK_THAT(with(R"({"files": ["a.csv"], "columns": {"text": ""}})"),
             Catch::Contains("/data/train/0/columns/text: must name a column"));
}

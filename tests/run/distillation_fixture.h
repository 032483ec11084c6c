/// Runs of small students, the folder of their teacher beside them.
#pragma once
#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "hone/io/checkpoint.h"
#include "hone/run/run.h"
#include "run/recipe_fixture.h"

namespace hone::test {

using run::Report;

struct Runs : RecipeFolder {
  /// A student of other sizes with the teacher's tokenizer.
  Json student(const Json& changes) const {
    Json json = {
        {"architecture", {{"hidden_size", 24}, {"num_hidden_layers", 1}}},
        {"tokenizer", {{"folder", file("teacher")}, {"vocab_size", nullptr}}},
        {"distillation", {{"teacher", file("teacher")}}},
        {"data",
         {{"tokens_per_batch", 64},
          {"held_out",
           {{{"files", {texts("held.jsonl", {"the plaintiff rests"})}}, {"domain", "law"}}}}}},
        {"train", {{"steps", 4}, {"lr", 1e-3}, {"save_every", 2}, {"log_every", 1}}}};
    json.merge_patch(changes);
    if (json.contains("model")) json["architecture"] = json["tokenizer"] = nullptr;
    return json;
  }
  Report run(const Json& changes, const std::string& out, bool resume = false) const {
    return run::execute(config(student(changes)),
                        {.app = "hone-domain", .out = file(out), .resume = resume});
  }
  /// The run `whole`, stopped at its first checkpoint and gone on with as `part`.
  Report go_on(const Json& changes, const std::string& whole, const std::string& part) const {
    std::filesystem::copy(file(whole), file(part), std::filesystem::copy_options::recursive);
    for (const char* left : {"/model", "/adapter", "/report.json", "/checkpoints/checkpoint-4"}) {
      std::filesystem::remove_all(file(part) + left);
    }
    return run(changes, part, /*resume=*/true);
  }
  /// A field of each step's row in metrics.jsonl; of several losses the first.
  std::vector<double> column(const std::string& out, const char* name) const {
    std::vector<double> values;
    std::ifstream metrics(file(out) + "/metrics.jsonl");
    for (std::string line; std::getline(metrics, line);) {
      const Json row = Json::parse(line);
      if (row.contains("loss")) values.push_back(number(row.at(name)));
    }
    return values;
  }
  static double number(const Json& value) {
    return (value.is_object() ? value.front() : value).get<double>();
  }
  at::Tensor head(const std::string& out) const {
    return io::Checkpoint::open(file(out) + "/model").load("lm_head.weight");
  }
};

inline Json distilled(const Json& options) { return {{"distillation", options}}; }

/// A run from the teacher's folder that trains an adapter.
inline Json adapted(const Runs& runs, Json changes) {
  Json json = {{"model", runs.file("teacher")},
               {"tuning", "lora"},
               {"lora", {{"rank", 2}}},
               {"train", {{"lr", 0.05}}},
               {"distillation", {{"teacher", "base"}, {"share", 0.6}}}};
  json.merge_patch(changes);
  return json;
}

}  // namespace hone::test

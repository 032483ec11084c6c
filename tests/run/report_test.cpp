#include "hone/run/report.h"

#include <cmath>

#include "hone/run/context.h"
#include "hone/run/guard.h"
#include "hone/text/bpe_trainer.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;
using train::Ending;

namespace {

/// A run and what its report is made from, to be changed by the tests.
struct Finished {
  Config config;
  train::Outcome outcome{.ending = Ending::kDone,
                         .steps = 300,
                         .tokens = 9000,
                         .skipped = 2,
                         .seconds = 10,
                         .mean_tokens_per_second = 900,
                         .loss = 3.25,
                         .measured = true};
  std::vector<train::Evaluation> evaluations = {evaluation(0, 1), evaluation(200, 1.5),
                                                evaluation(300, 2)};
  std::optional<text::GrowthResult> growth;
  std::vector<data::DatasetPtr> base_held_out;
  Data data;
  std::optional<int64_t> returned_to;
  std::string stopped_by;

  /// Of one domain with perplexity exp(nll).
  static train::Evaluation evaluation(int64_t step, double nll) {
    return {step, {{"set", "general", 10, 10, 10 * nll}}};
  }
  Json report() const {
    const EndedRun ended{outcome, evaluations, returned_to, stopped_by};
    Json report = make_report({config, ended, growth, base_held_out, data});
    if (config.guard.domain) {
      Guard guard(config.guard);
      guard.scored(evaluations.front());
      guard.report(ended, report);
    }
    return report;
  }
  /// The step of the report's "after"; -1 where it is null.
  int64_t after() const {
    const Json found = report().at("after");
    return found.is_null() ? -1 : found.at("step").get<int64_t>();
  }
};

data::DatasetPtr counted(int64_t tokens, int64_t documents) {
  auto set = std::make_shared<data::Dataset>();
  set->name = set->domain = "law";
  set->counts.tokens = tokens;
  set->counts.documents = documents;
  return set;
}

}  // namespace

TEST_CASE("A report tells what was done, and the scores before and after") {
  Finished run;
  run.config.about = "shows it";
  const Json report = run.report();
  CHECK(report.at("path") == "domain");
  CHECK(report.at("about") == "shows it");
  CHECK(report.at("ending") == "done");
  CHECK(report.at("steps") == 300);
  CHECK(report.at("tokens") == 9000);
  CHECK(report.at("skipped_steps") == 2);
  CHECK(report.at("loss") == 3.25);
  CHECK(report.at("seconds") == 10);
  CHECK(report.at("mean_tokens_per_second") == 900);
  CHECK(report.at("peak_memory_bytes") > 0);
  CHECK(report.at("before").at("step") == 0);
  CHECK(report.at("after").at("domains")[0].at("perplexity") == std::exp(2.0));
  for (const char* key : {"guard", "vocabulary", "epochs", "embedding_steps"}) {
    CHECK_FALSE(report.contains(key));
  }
}

TEST_CASE("Epochs and steps of the embeddings are told where there were any; no loss as null") {
  Finished run;
  run.config.train.epochs = 2.5;
  run.config.train.steps = 310;
  run.config.vocabulary.embedding_steps = 40;
  run.outcome.loss = std::nan("");
  const Json report = run.report();
  CHECK(report.at("epochs") == 2.5);
  CHECK(report.at("planned_steps") == 310);
  CHECK(report.at("embedding_steps") == 40);
  CHECK(report.at("loss").is_null());
}

TEST_CASE("After is of the model as the run leaves it, or nothing") {
  Finished run;
  CHECK(run.after() == 300);
  run.returned_to = 200;
  CHECK(run.after() == 200);
  run.returned_to = 100;  // which was not evaluated
  CHECK(run.after() == -1);
  run.returned_to.reset();
  run.outcome.measured = false;
  CHECK(run.after() == -1);
  run.outcome.measured = true;
  run.outcome.ending = Ending::kDiverged;
  CHECK(run.after() == -1);

  Finished scored;
  scored.config.train.steps = 0;
  scored.evaluations.resize(1);
  CHECK(scored.after() == 0);
  CHECK_FALSE(scored.report().contains("steps"));
  scored.evaluations.clear();  // a signal came first
  CHECK(scored.after() == -1);
  CHECK(scored.report().at("before").is_null());
}

TEST_CASE("Endings by their names, and the words of what stopped a run") {
  for (const auto& [ending, name] :
       std::vector<std::pair<Ending, std::string>>{{Ending::kDone, "done"},
                                                   {Ending::kStopped, "stopped by the guard"},
                                                   {Ending::kDiverged, "diverged"},
                                                   {Ending::kSignal, "stopped by a signal"}}) {
    Finished run;
    run.outcome.ending = ending;
    CHECK(run.report().at("ending") == name);
    CHECK(ending_named(name) == ending);
  }
  Finished run;
  run.outcome.ending = Ending::kStopped;
  run.stopped_by = "pruned";
  CHECK(run.report().at("ending") == "pruned");
  CHECK(ending_named("pruned") == Ending::kStopped);
}

TEST_CASE("Exit codes") {
  CHECK(exit_code({.ending = Ending::kDone}) == 0);
  CHECK(exit_code({.ending = Ending::kStopped}) == 0);
  CHECK(exit_code({.ending = Ending::kDiverged}) == 3);
  CHECK(exit_code({.ending = Ending::kSignal, .signal = 2}) == 130);
}

TEST_CASE("The guard's verdict is of what the run leaves, on the limit still held") {
  Finished run;
  run.config.guard.domain = "general";
  run.config.guard.max_ratio = std::exp(2.0) / std::exp(1.0);
  Json guard = run.report().at("guard");
  CHECK(guard.at("domain") == "general");
  CHECK(guard.at("verdict") == "held");
  CHECK(guard.at("ratio") == run.config.guard.max_ratio);
  CHECK(guard.at("returned_to").is_null());

  run.config.guard.max_ratio = 2;
  guard = run.report().at("guard");
  CHECK(guard.at("verdict") == "violated");
  CHECK(guard_verdict(run.report()) ==
        "guard: violated: perplexity of general is 2.718 times that of the base, limit 2");
  run.returned_to = 200;
  guard = run.report().at("guard");
  CHECK(guard.at("verdict") == "held");
  CHECK(guard.at("ratio") == std::exp(1.5) / std::exp(1.0));
  CHECK(guard.at("last_ratio") == std::exp(2.0) / std::exp(1.0));
  CHECK(guard.at("returned_to") == 200);

  run.returned_to.reset();
  run.outcome.measured = false;
  CHECK(run.report().at("guard").at("verdict").is_null());
  CHECK(guard_verdict(run.report()) == "");
  CHECK(guard_verdict(Json::object()) == "");
  run.outcome.measured = true;
  run.evaluations.back() = Finished::evaluation(300, 1e4);
  CHECK(guard_verdict(run.report()) ==
        "guard: violated: perplexity of general is inf times that of the base, limit 2");
}

TEST_CASE("The closing line") {
  Finished run;
  const auto line = [&] { return summary_text(run.config, run.outcome, run.report(), "out"); };
  CHECK_THAT(line(), Catch::StartsWith("done after 300 steps: loss 3.2500, mean 900 tokens/s, peak "
                                       "memory ") &&
                         Catch::EndsWith("iB; see out"));
  run.config.guard.domain = "general";
  run.config.guard.max_ratio = 10;
  CHECK_THAT(line(), Catch::EndsWith("; guard: held: perplexity of general is 2.718 times that of "
                                     "the base, limit 10; see out"));
  run.outcome.steps = 0;
  run.outcome.ending = Ending::kSignal;
  CHECK_THAT(line(), Catch::StartsWith("stopped by a signal before the first step; peak memory "));
  run.config.train.steps = 0;
  CHECK_THAT(line(), Catch::StartsWith("stopped by a signal before"));
  run.outcome.ending = Ending::kDone;
  CHECK_THAT(line(), Catch::StartsWith("scored; peak memory "));
}

TEST_CASE("The table of perplexity by domain") {
  Finished run;
  CHECK(report_table(run.report()) ==
        "perplexity                before         after    ratio\n"
        "general                    2.718         7.389    2.718\n");
  run.outcome.measured = false;
  CHECK(report_table(run.report()) ==
        "perplexity                before         after    ratio\n"
        "general                    2.718  not measured         \n");
  run.evaluations = {{0, {}}};
  CHECK(report_table(run.report()) == "");
  run.evaluations.clear();
  CHECK(report_table(run.report()) == "");
}

TEST_CASE("What growth did to the vocabulary, and to the length of held-out text") {
  using Kind = text::GrownToken::Kind;
  Finished run;
  run.growth = text::GrowthResult{
      text::Tokenizer::from_json(text::train_bpe({"a b c"}, {.vocab_size = 270}), "grown"),
      {{.text = "plain", .kind = Kind::kIntermediate},
       {.text = "plaintiff", .kind = Kind::kTerm},
       {.text = "appeal", .kind = Kind::kAddedToken}}};
  run.base_held_out = {counted(100, 8)};
  run.data.held_out = {counted(60, 8)};
  const Json report = run.report();
  const Json& grown = report.at("vocabulary");
  CHECK(grown.at("terms") == 2);
  CHECK(grown.at("new_ids") == 3);
  CHECK(grown.at("intermediate_ids") == 1);
  CHECK(grown.at("tokens") == Json{"plaintiff", "appeal"});
  CHECK(grown.at("held_out")[0] == Json{{"name", "law"},
                                        {"tokens_per_document_before", 12.5},
                                        {"tokens_per_document_after", 7.5}});
  CHECK_THAT(report_table(report),
             Catch::EndsWith("vocabulary: 2 terms in 3 new ids, 1 of intermediate merges\n"
                             "tokens per text of law: 12.50 before, 7.50 after\n"));
  run.base_held_out[0] = counted(0, 0);
  CHECK(run.report().at("vocabulary").at("held_out")[0].at("tokens_per_document_before") == 0);
  run.base_held_out.clear();  // stopped before the text was read both ways
  CHECK_FALSE(run.report().contains("vocabulary"));
}

/// What a search optimises, measured on a trained model.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/data/evaluation_rows.h"
#include "hone/eval/metrics/bleu.h"
#include "hone/eval/metrics/chrf.h"
#include "hone/eval/metrics/exact_match.h"
#include "hone/infer/sampling.h"
#include "hone/text/tokenizer_folder.h"
#include "hone/train/evaluation.h"
#include "hone/tune/trial.h"

namespace hone::model {
class Decoder;
}

namespace hone::eval {

enum class Metric {
  kPerplexity,
  kLoss,
  kAccuracy,
  kExactMatch,
  kTokenF1,
  kBleu,
  kChrf,
  kRouge1,
  kRouge2,
  kRougeL,
  kRougeLsum,
  kLatency,
  kParameters,
  kStepTime,
  kCommand
};

/// One objective. Keys that the metric does not read are errors.
struct ObjectiveOptions {
  Metric metric = Metric::kPerplexity;
  std::optional<tune::Direction> direction;
  std::vector<std::string> domains;
  std::optional<std::string> file;
  int64_t max_rows = 0;
  infer::SamplingOptions generation;
  std::optional<std::string> after;
  std::optional<std::string> extract;
  eval::BleuOptions bleu;
  eval::ChrfOptions chrf;
  eval::AnswerOptions answers;
  bool rouge_stemmer = false;
  bool length_normalised = false;
  std::optional<std::string> command;
  double timeout_seconds = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("metric", self.metric, "What is measured on the trained model.");
    v("direction", self.direction, "Which way is better; null takes the metric's own.");
    v("domains", self.domains,
      "Held-out domains of the base recipe that count for perplexity and loss; empty: all.");
    v("file", self.file,
      "Evaluation rows (docs/data.md): choices for accuracy, prompts with references for text "
      "metrics.");
    v("max_rows", self.max_rows, "Rows used, the first ones; 0 uses all.", Range{0, 1e9});
    v("generation", self.generation, "How texts are generated for text metrics.");
    v("after", self.after,
      "Text metrics score what stands behind the last of these in a generated text, e.g. "
      "\"</think>\"; a text without it has no answer and scores as an empty one.");
    v("extract", self.extract,
      "Pattern (PCRE2) of the answer in what is scored: its last match, the first group where it "
      "has one, e.g. \"#### (-?[0-9.,]+)\"; a text without a match scores as an empty one.");
    v("bleu", self.bleu, "Options of BLEU.");
    v("chrf", self.chrf, "Options of chrF.");
    v("answers", self.answers, "What exact_match and token_f1 overlook.");
    v("rouge_stemmer", self.rouge_stemmer, "Whether ROUGE compares stems of English words.");
    v("length_normalised", self.length_normalised,
      "Whether accuracy divides each choice's log-likelihood by its bytes.");
    v("command", self.command,
      "Program run through the shell with the model's folder as $1; the last line it prints is the "
      "value.");
    v("timeout_seconds", self.timeout_seconds,
      "Time after which the command is ended and the trial fails; 0 sets no bound.", Range{0, 1e7});
  }
  void validate(Validation& v) const;
};

/// The metric's own direction, unless options.direction says otherwise.
tune::Direction direction_of(const ObjectiveOptions& options);

/// The value of perplexity or loss in an evaluation; nullopt for other metrics. Tokens are the
/// base's (train::Score). Throws: Error if no held-out set has one of the domains.
std::optional<double> evaluation_value(const ObjectiveOptions& options,
                                       const train::Evaluation& evaluation);

/// A value and how far chance in the rows that it is of may have moved it.
struct Measurement {
  double value = 0;
  std::optional<double> standard_error;  ///< absent for what no rows are drawn for, or of one row
};

/// What one trial leaves for its objectives.
struct TrainedTrial {
  model::Decoder& decoder;
  const text::TokenizerFolder& text;
};

/// Measures an objective; its rows are read once.
class ObjectiveMeter {
 public:
  /// Throws: IoError, DataError for bad rows.
  explicit ObjectiveMeter(ObjectiveOptions options);

  /// Value of accuracy, a text metric, latency or parameters; nullopt for other metrics.
  ///   accuracy    share of questions whose likeliest choice (log-likelihood behind the prompt,
  ///               lm_eval's rule for tokens) is the right one
  ///   latency     milliseconds a new token of greedy generation, batch 1, 32 tokens behind a
  ///               prompt of 32; median of five runs
  ///   parameters  of the model, adapters worked in
  std::optional<Measurement> model_value(const TrainedTrial& trial) const;

  /// Runs the user's command on a saved model; nullopt if `stop`, asked while it runs, ended it.
  /// Throws: Error with the end of its output if it fails, takes longer than timeout_seconds, or
  /// its last line is no number.
  std::optional<double> command_value(const std::string& model_folder,
                                      const std::function<bool()>& stop = {}) const;

  const ObjectiveOptions& options() const { return options_; }
  /// Rows that are measured: questions or texts; 0 for other metrics.
  int64_t rows() const { return std::ssize(texts_) + std::ssize(choices_); }
  /// "exact_match over 200 rows: standard error at most 0.035"; "" for metrics without rows.
  std::string precision() const;

 private:
  Measurement text_value(const TrainedTrial& trial) const;
  Measurement accuracy(const TrainedTrial& trial) const;

  const ObjectiveOptions options_;
  std::vector<data::GenerationRow> texts_;
  std::vector<data::ChoiceRow> choices_;
};

}  // namespace hone::eval

template <>
struct hone::EnumNames<hone::eval::Metric> {
  static constexpr std::pair<eval::Metric, const char*> values[] = {
      {eval::Metric::kPerplexity, "perplexity"},
      {eval::Metric::kLoss, "loss"},
      {eval::Metric::kAccuracy, "accuracy"},
      {eval::Metric::kExactMatch, "exact_match"},
      {eval::Metric::kTokenF1, "token_f1"},
      {eval::Metric::kBleu, "bleu"},
      {eval::Metric::kChrf, "chrf"},
      {eval::Metric::kRouge1, "rouge1"},
      {eval::Metric::kRouge2, "rouge2"},
      {eval::Metric::kRougeL, "rougeL"},
      {eval::Metric::kRougeLsum, "rougeLsum"},
      {eval::Metric::kLatency, "latency"},
      {eval::Metric::kParameters, "parameters"},
      {eval::Metric::kStepTime, "step_time"},
      {eval::Metric::kCommand, "command"}};
};

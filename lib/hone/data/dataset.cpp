#include "hone/data/dataset.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <set>
#include <thread>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "hone/core/log.h"
#include "hone/data/detail/cut_text.h"
#include "hone/data/detail/encoder.h"
#include "hone/data/detail/portion.h"
#include "hone/data/detail/row_source.h"
#include "hone/data/detail/sample.h"

namespace hone::data {
namespace {

constexpr int64_t kReportedBadRows = 5;
constexpr size_t kChunkRows = 4096;
constexpr size_t kChunkBytes = size_t{8} << 20;

std::string name_of(const DatasetOptions& options) {
  return "data set \"" + options.label() + "\"";
}

/// Rows handed to the threads together; bounds the memory of what is read but not yet encoded.
std::vector<detail::RawRow> read_chunk(detail::PortionRows& source) {
  std::vector<detail::RawRow> rows;
  size_t bytes = 0;
  detail::RawRow row;
  while (rows.size() < kChunkRows && bytes < kChunkBytes && source.next(row)) {
    bytes += row.bytes.size();
    rows.push_back(std::move(row));
    row = {};
  }
  return rows;
}

/// work(i) for each i in [0, count), on `threads` threads; it must not throw.
template <class Work>
void in_parallel(size_t count, int threads, const Work& work) {
  std::atomic<size_t> next{0};
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::thread> helpers;
  for (int i = 1; i < threads && static_cast<size_t>(i) < count; ++i) helpers.emplace_back(run);
  run();
  for (std::thread& helper : helpers) helper.join();
}

/// Counts bad rows, and reports the first few, or throws.
class BadRows {
 public:
  explicit BadRows(const DatasetOptions& options) : options_(options) {}

  void add(const detail::RawRow& row, const std::string& reason) {
    const DataError error(row.file->path, row.line, reason);
    if (options_.on_bad_row == OnBadRow::kStop) throw error;
    if (++count_ <= kReportedBadRows) log_warning(std::string("skipped: ") + error.what());
  }
  void report() const {
    if (count_ <= kReportedBadRows) return;
    log_warning(name_of(options_) + ": skipped " + std::to_string(count_) + " bad rows in all");
  }
  int64_t count() const { return count_; }

 private:
  const DatasetOptions& options_;
  int64_t count_ = 0;
};

/// Calls take(row, result of work(row)) for every row that is not bad, in order.
template <class Result, class Work, class Take>
DatasetCounts for_each_row(const DatasetOptions& options, int threads, const Work& work,
                           const Take& take) {
  struct Outcome {
    Result result;
    std::string bad_reason;
    std::exception_ptr fatal;
  };
  DatasetCounts counts;
  BadRows bad(options);
  detail::PortionRows source(options);
  for (auto rows = read_chunk(source); !rows.empty(); rows = read_chunk(source)) {
    std::vector<Outcome> outcomes(rows.size());
    in_parallel(rows.size(), threads, [&](size_t i) {
      try {
        outcomes[i].result = work(rows[i]);
      } catch (const detail::SetupError&) {
        outcomes[i].fatal = std::current_exception();
      } catch (const Error& error) {
        outcomes[i].bad_reason = error.what();
      } catch (...) {
        outcomes[i].fatal = std::current_exception();
      }
    });
    for (size_t i = 0; i < rows.size(); ++i) {
      ++counts.rows;
      if (outcomes[i].fatal) std::rethrow_exception(outcomes[i].fatal);
      if (!outcomes[i].bad_reason.empty()) {
        bad.add(rows[i], outcomes[i].bad_reason);
      } else {
        take(std::move(outcomes[i].result));
      }
    }
  }
  bad.report();
  source.check_columns();
  counts.bad_rows = bad.count();
  return counts;
}

void add_counts(DatasetCounts& counts, const DatasetCounts& row) {
  counts.untrained += row.untrained;
  counts.truncated += row.truncated;
  counts.dropped += row.dropped;
  counts.split += row.split;
  counts.lost_tokens += row.lost_tokens;
  counts.lost_calls += row.lost_calls;
  counts.lost_tools += row.lost_tools;
  counts.documents += row.documents;
  counts.tokens += row.tokens;
  counts.trained += row.trained;
  counts.entity_tokens += row.entity_tokens;
}

void report_lengths(const DatasetOptions& options, int64_t bound, const DatasetCounts& counts) {
  std::string what;
  const auto add = [&](int64_t count, const char* done) {
    if (count == 0) return;
    what += (what.empty() ? "" : ", ") + std::to_string(count) + " " + done;
  };
  add(counts.truncated, "truncated");
  add(counts.dropped, "dropped");
  add(counts.split, "split");
  if (what.empty()) return;
  if (counts.lost_tokens > 0) {
    what += "; " + std::to_string(counts.lost_tokens) + " of " +
            std::to_string(counts.lost_tokens + counts.tokens) + " tokens are lost";
  }
  log_warning(name_of(options) + ": documents over " +
              std::to_string(options.max_length.value_or(bound)) + " tokens: " + what);
}

/// Refuses what the chat template would leave out of rows with tools, or says what was left out.
void report_tools(const DatasetOptions& options, const DatasetCounts& counts,
                  const std::string& chat_template) {
  if (counts.lost_calls + counts.lost_tools == 0) return;
  std::string what;
  const auto add = [&](int64_t rows, const char* part) {
    if (rows == 0) return;
    what += (what.empty() ? "" : " and ") + std::string(part) + " of " + std::to_string(rows);
  };
  add(counts.lost_calls, "tool calls or results");
  add(counts.lost_tools, "tool definitions");
  what += " of its " + std::to_string(counts.rows) + " rows";
  if (options.tool_form == ToolForm::kLeaveOut) {
    if (counts.lost_calls > 0) what += "; rows without their calls or results are left out";
    log_warning(name_of(options) + ": " + chat_template + " does not show " + what);
    return;
  }
  throw Error(name_of(options) + ": " + chat_template + " does not show " + what +
              ": the model would learn to say nothing there. Set tool_form to chatml or deepseek "
              "to write them as text in that family's form, or to leave_out");
}

void check_not_empty(const DatasetOptions& options, const DatasetCounts& counts) {
  if (counts.documents > 0) return;
  throw Error(name_of(options) + ": nothing is left to train on: of " +
              std::to_string(counts.rows) + " rows " + std::to_string(counts.bad_rows) +
              " are bad, " + std::to_string(counts.untrained) + " have no trained token, " +
              std::to_string(counts.dropped) + " are too long");
}

}  // namespace

Json DatasetCounts::json() const {
  return {{"rows", rows},
          {"bad_rows", bad_rows},
          {"untrained", untrained},
          {"truncated", truncated},
          {"dropped", dropped},
          {"split", split},
          {"lost_tokens", lost_tokens},
          {"lost_calls", lost_calls},
          {"lost_tools", lost_tools},
          {"documents", documents},
          {"tokens", tokens},
          {"trained", trained},
          {"entity_tokens", entity_tokens}};
}

Dataset load_dataset(const DatasetOptions& options, const text::TokenizerFolder& text,
                     const LoadContext& context) {
  Dataset set;
  set.name = options.label();
  set.domain = options.domain;
  set.weight = options.weight;
  try {
    const detail::Encoder encoder(options, text, context);
    const bool plain_alpaca = options.chat_form == ChatForm::kPlain;
    DatasetCounts sum;
    set.counts = for_each_row<detail::EncodedRow>(
        options, context.threads,
        [&](const detail::RawRow& row) {
          return encoder.encode(detail::parse_row(row, plain_alpaca));
        },
        [&](detail::EncodedRow row) {
          add_counts(sum, row.counts);
          std::move(row.examples.begin(), row.examples.end(), std::back_inserter(set.examples));
          std::move(row.cuts.begin(), row.cuts.end(), std::back_inserter(set.cuts));
        });
    add_counts(set.counts, sum);
  } catch (const detail::SetupError& error) {
    throw Error(name_of(options) + ": " + error.what());
  }
  report_tools(options, set.counts, text.chat_template_source);
  report_lengths(options, context.max_length, set.counts);
  check_not_empty(options, set.counts);
  if (context.entities && set.counts.entity_tokens == 0) {
    log_warning(name_of(options) + ": no key entity occurs in what is trained of it");
  }
  set.hash = dataset_hash(set.examples);
  return set;
}

Dataset retokenise(const Dataset& set, const text::TokenizerFolder& base,
                   const text::TokenizerFolder& other) {
  if (set.cuts.empty()) throw Error("retokenise: data set \"" + set.name + "\" kept no text");
  Dataset result;
  result.name = set.name;
  result.domain = set.domain;
  result.weight = set.weight;
  result.counts = set.counts;
  result.counts.documents = result.counts.tokens = result.counts.trained = 0;
  for (const auto& cut : set.cuts) {
    for (Example& example : detail::retokenise(*cut, base, other)) {
      ++result.counts.documents;
      result.counts.tokens += example.length();
      result.counts.trained += example.trained();
      result.examples.push_back(std::move(example));
    }
  }
  result.hash = dataset_hash(result.examples);
  return result;
}

std::vector<std::string> read_texts(const DatasetOptions& options) {
  using Texts = std::vector<std::string>;
  Texts texts;
  for_each_row<Texts>(
      options, 1,
      [](const detail::RawRow& row) { return detail::sample_texts(detail::parse_row(row, false)); },
      [&](Texts row) { std::move(row.begin(), row.end(), std::back_inserter(texts)); });
  if (texts.empty()) throw Error(name_of(options) + ": holds no text");
  return texts;
}

std::vector<std::string> source_files(const DatasetOptions& options) {
  return detail::RowSource(options).paths();
}

std::string dataset_hash(const std::vector<Example>& examples) {
  std::string hashes;
  const auto add = [&](const auto& values) {
    hashes += hash_bytes(
        {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])});
  };
  for (const Example& example : examples) {
    add(example.ids);
    add(example.targets);
    add(example.weights);
  }
  return hash_bytes(hashes);
}

std::vector<std::string> domain_names(const std::vector<DatasetOptions>& sets) {
  std::vector<std::string> names;
  for (const DatasetOptions& set : sets) {
    if (std::find(names.begin(), names.end(), set.domain) == names.end()) {
      names.push_back(set.domain);
    }
  }
  return names;
}

}  // namespace hone::data

/// A data set in memory: files read, rows checked, tokenised and masked once, before training.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/data/batch.h"
#include "hone/data/entities.h"
#include "hone/data/options.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::data {

namespace detail {
struct CutText;
}

/// What became of a data set's rows.
struct DatasetCounts {
  int64_t rows = 0;           ///< read, bad ones included
  int64_t bad_rows = 0;       ///< skipped (on_bad_row skip)
  int64_t untrained = 0;      ///< rows left out because nothing of them is trained
  int64_t truncated = 0;      ///< documents cut at max_length
  int64_t dropped = 0;        ///< documents left out because they are too long
  int64_t split = 0;          ///< documents that became several
  int64_t lost_tokens = 0;    ///< of the documents cut or left out
  int64_t lost_calls = 0;     ///< rows left out whose tool calls or results the template drops
  int64_t lost_tools = 0;     ///< rows whose tool definitions the template drops
  int64_t documents = 0;      ///< examples kept
  int64_t tokens = 0;         ///< positions of the examples
  int64_t trained = 0;        ///< their targets
  int64_t entity_tokens = 0;  ///< targets inside an entity

  Json json() const;
};

struct Dataset {
  std::string name;
  std::string domain;   ///< name of the domain
  double weight = 1.0;  ///< DatasetOptions::weight
  std::vector<Example> examples;
  DatasetCounts counts;
  std::string hash;  ///< dataset_hash(examples): what the manifest holds and resume compares
  std::vector<std::shared_ptr<const detail::CutText>> cuts;  ///< with LoadContext::keep_cuts
};

/// Data sets are read once and shared by all that read them.
using DatasetPtr = std::shared_ptr<const Dataset>;

/// What load_dataset needs beside the data set's own options.
struct LoadContext {
  int32_t domain = 0;             ///< index of the set's domain in the run's list
  int64_t max_length = 0;         ///< most tokens of a document: tokens_per_batch; 0 = no bound
  bool own_length = false;        ///< DatasetOptions::max_length may be over `max_length`
  bool whole_characters = false;  ///< truncate between characters, never inside one
  bool keep_cuts = false;         ///< keep what retokenise() needs: about 5 bytes a token
  const EntityMatcher* entities = nullptr;
  float entity_multiplier = 1.0F;  ///< weight of targets inside an entity
  bool keep_text = false;  ///< examples keep their text for an Augmenter: about 5 bytes a token
  int threads = 1;         ///< tokenise with so many threads; the result is the same
};

/// Reads, checks, tokenises and masks `options.files`. Masks: docs/data.md.
///
/// A bad row throws DataError(file, line, reason), or is counted and (the first few) reported
/// through log_warning under on_bad_row skip. Truncated and dropped documents are counted and
/// reported through one warning with the tokens they cost; so is a set in which no entity occurs.
/// Throws: DataError; IoError for a file that cannot be read; Error if no example or no trained
/// target is left, or if conversations come without a chat template.
Dataset load_dataset(const DatasetOptions& options, const text::TokenizerFolder& text,
                     const LoadContext& context = {});

/// `set`, which was loaded with keep_cuts and the tokenizer `base`, under another tokenizer that
/// knows all tokens of `base`: exactly the same text in the same documents, and the same bytes of
/// it as targets. Where a token of the other one would reach over the border of what is a target,
/// the base's tokens stand there. `counts` keep what became of the rows.
Dataset retokenise(const Dataset& set, const text::TokenizerFolder& base,
                   const text::TokenizerFolder& other);

/// The texts of a data set's rows without any tokenizer, for training one and for mining terms:
/// a text row gives its text, a conversation the content of each message, a prompt/completion
/// row both parts. Throws: as load_dataset.
std::vector<std::string> read_texts(const DatasetOptions& options);

/// The files that a data set's rows lie in. Throws: as load_dataset for what names them.
std::vector<std::string> source_files(const DatasetOptions& options);

/// XXH3-128 over ids, targets and weights of the examples in order, 32 hex digits.
std::string dataset_hash(const std::vector<Example>& examples);

/// The different domains of the sets, in order of first appearance; its indices are domain ids.
std::vector<std::string> domain_names(const std::vector<DatasetOptions>& sets);

}  // namespace hone::data

#include "hone/data/augmentation.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "hone/core/log.h"
#include "hone/core/random.h"
#include "hone/data/detail/document.h"
#include "hone/data/detail/masking.h"
#include "hone/data/detail/paraphrases.h"
#include "hone/data/detail/synonyms.h"
#include "hone/data/detail/words.h"
#include "hone/data/wordnet.h"

namespace hone::data {
namespace {

using detail::Document;
using detail::Edit;
using detail::Scan;
using detail::Tokens;

constexpr const char* kOff = "with rate 0";

std::string_view part_of(std::string_view text, Span span) {
  return text.substr(span.begin, span.end - span.begin);
}

/// Free stretches that hold a word, less the white space at their ends: what is paraphrased.
std::vector<Span> paraphrased(const Document& document, const Scan& scan) {
  std::vector<Span> units;
  for (const Span& free : document.free) {
    const bool words =
        std::any_of(scan.words.begin(), scan.words.end(), [&](const detail::Word& word) {
          return word.span.begin >= free.begin && word.span.end <= free.end;
        });
    if (!words) continue;
    const std::string_view text = part_of(document.text, free);
    constexpr std::string_view kBlank = " \t\r\n";
    const auto first = static_cast<int64_t>(text.find_first_not_of(kBlank));
    const auto last = static_cast<int64_t>(text.find_last_not_of(kBlank));
    units.push_back({free.begin + first, free.begin + last + 1});
  }
  return units;
}

/// Where `part` stands in `text` from `from` on, not as a piece of a longer word; npos if nowhere.
size_t find_whole(std::string_view text, std::string_view part, size_t from) {
  const auto alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  for (size_t at = text.find(part, from); at != std::string_view::npos;
       at = text.find(part, at + 1)) {
    const size_t end = at + part.size();
    const bool joined = (at > 0 && alnum(text[at - 1]) && alnum(part.front())) ||
                        (end < text.size() && alnum(text[end]) && alnum(part.back()));
    if (!joined) return at;
  }
  return std::string_view::npos;
}

/// Where the stretches of `text` that lie in `unit` stand in its paraphrase, in their order; fewer
/// where one is missing.
std::vector<Span> find_in_order(std::string_view text, Span unit,
                                const std::vector<Span>& stretches, std::string_view paraphrase) {
  std::vector<Span> found;
  size_t from = 0;
  for (const Span& stretch : stretches) {
    if (stretch.begin < unit.begin || stretch.end > unit.end) continue;
    const std::string_view part = part_of(text, stretch);
    const size_t at = find_whole(paraphrase, part, from);
    if (at == std::string_view::npos) break;
    from = at + part.size();
    found.push_back({static_cast<int64_t>(at), static_cast<int64_t>(from)});
  }
  return found;
}

/// Whether a paraphrase keeps all that must be kept of its text.
bool keeps_all(const Document& document, const Scan& scan, Span unit, std::string_view paraphrase) {
  const auto inside = std::count_if(scan.kept.begin(), scan.kept.end(), [&](const Span& kept) {
    return kept.begin >= unit.begin && kept.end <= unit.end;
  });
  const auto found = find_in_order(document.text, unit, scan.kept, paraphrase);
  return static_cast<int64_t>(found.size()) == inside;
}

/// The document with units replaced by their paraphrases, key entities found again in those.
Document with_paraphrases(const Document& document, const std::vector<Edit>& edits) {
  Document result = detail::edited(document, edits);
  int64_t shift = 0;
  for (const Edit& edit : edits) {
    for (const Span& entity :
         find_in_order(document.text, edit.span, document.entities, edit.text)) {
      const int64_t begin = edit.span.begin + shift;
      result.entities.push_back({begin + entity.begin, begin + entity.end});
    }
    shift += static_cast<int64_t>(edit.text.size()) - (edit.span.end - edit.span.begin);
  }
  std::sort(result.entities.begin(), result.entities.end(),
            [](const Span& a, const Span& b) { return a.begin < b.begin; });
  return result;
}

/// Targets and weights of what is trained.
std::vector<std::pair<int64_t, float>> trained(const Example& example) {
  std::vector<std::pair<int64_t, float>> list;
  for (size_t i = 0; i < example.targets.size(); ++i) {
    if (example.targets[i] == kIgnoreIndex) continue;
    list.emplace_back(example.targets[i], example.weights[i]);
  }
  return list;
}

int64_t find_mask(const AugmentationOptions& options, const text::TokenizerFolder& text) {
  if (options.mask_token) {
    const auto id = text.tokenizer.token_to_id(*options.mask_token);
    if (id) return *id;
    throw Error("Augmenter: the tokenizer has no token \"" + *options.mask_token +
                "\" for mask_token");
  }
  if (text.pad_id) return *text.pad_id;
  if (text.eos_id) return *text.eos_id;
  throw Error("Augmenter: the tokenizer has no pad and no eos token; name a mask_token");
}

/// The sets' examples that have kept their text. Throws: Error if there is none.
template <class Take>
void for_each_source(const std::vector<DatasetPtr>& sets, const Take& take) {
  int64_t sources = 0;
  for (const DatasetPtr& set : sets) {
    int64_t without = 0;
    for (const Example& example : set->examples) {
      if (example.source) {
        ++sources;
        take(*set, example);
      } else {
        ++without;
      }
    }
    if (without > 0) {
      log_warning("data set \"" + set->name + "\": augmentation leaves " + std::to_string(without) +
                  " of " + std::to_string(set->examples.size()) +
                  " documents as they are: they have no text that it may change");
    }
  }
  if (sources == 0) {
    throw Error(
        "Augmenter: no document has a text that it may change; load the data sets with keep_text, "
        "and not as tokens");
  }
}

}  // namespace

// ---- options -----------------------------------------------------------------------------------

void SynonymOptions::validate(Validation& v) const {
  if (rate > 0) {
    if (wordnet.empty()) v.problem("wordnet", "must name a folder");
    return;
  }
  for (const char* key : {"wordnet", "senses"}) v.no_effect(key, kOff);
}

void SpanMaskingOptions::validate(Validation& v) const {
  if (rate > 0) return;
  for (const char* key : {"mean_words", "max_words"}) v.no_effect(key, kOff);
}

void BackTranslationOptions::validate(Validation& v) const {
  if (rate > 0) {
    if (command.empty()) v.problem("command", "must name a program where rate is above 0");
    if (!command.empty() && command.front().empty()) v.problem("command", "names no program");
    if (cache.empty()) v.problem("cache", "must name a file where rate is above 0");
    return;
  }
  for (const char* key : {"command", "cache", "timeout_seconds"}) v.no_effect(key, kOff);
}

void AugmentationOptions::validate(Validation& v) const {
  if (word_dropout.rate == 0 && span_masking.rate == 0) {
    v.no_effect("mask_token", "without word_dropout and span_masking");
  }
  if (!any()) v.no_effect("rate", "unless a kind of augmentation has a rate above 0");
}

bool AugmentationOptions::any() const {
  return synonyms.rate > 0 || word_dropout.rate > 0 || span_masking.rate > 0 ||
         back_translation.rate > 0;
}

// ---- Augmenter ---------------------------------------------------------------------------------

struct Augmenter::State {
  State(const AugmentationOptions& given, const text::TokenizerFolder& folder, uint64_t run_seed)
      : options(given), text(folder), seed(derive_seed(run_seed, "augmentation")) {}

  bool masks() const { return options.word_dropout.rate > 0 || options.span_masking.rate > 0; }

  void read_paraphrases(const std::vector<DatasetPtr>& sets) {
    const BackTranslationOptions& back = options.back_translation;
    const auto for_each_unit = [&](const auto& take) {
      for (const DatasetPtr& set : sets) {
        for (const Example& example : set->examples) {
          if (!example.source) continue;
          const Document& document = example.source->document;
          const Scan scan = detail::scan_words(document.text, document.free, document.entities);
          for (const Span& unit : paraphrased(document, scan)) take(document, scan, unit);
        }
      }
    };
    std::vector<std::string> texts;
    for_each_unit([&](const Document& document, const Scan&, Span unit) {
      texts.emplace_back(part_of(document.text, unit));
    });
    paraphrases = detail::Paraphrases(back.command, back.cache, back.timeout_seconds, texts);
    const size_t all = paraphrases.size();
    for_each_unit([&](const Document& document, const Scan& scan, Span unit) {
      const std::string_view unit_text = part_of(document.text, unit);
      const std::string* answer = paraphrases.find(unit_text);
      if (answer && !keeps_all(document, scan, unit, *answer)) paraphrases.forget(unit_text);
    });
    if (paraphrases.size() == all) return;
    log_warning("back-translation: " + std::to_string(all - paraphrases.size()) + " of " +
                std::to_string(all) +
                " paraphrases are not used: they lost an entity, a number, an address or code");
  }

  void make_fingerprint() {
    const Json parts = {options.synonyms.rate,
                        options.synonyms.senses,
                        options.word_dropout.rate,
                        options.span_masking.rate,
                        options.span_masking.mean_words,
                        options.span_masking.max_words,
                        options.back_translation.rate,
                        paraphrases.hash(),
                        wordnet ? wordnet->hash() : "",
                        masks() ? mask_id : -1,
                        seed};
    fingerprint = hash_bytes(parts.dump());
  }

  /// What the text kinds make of the document, or nullopt if they change nothing.
  std::optional<Document> rewrite(const Document& document, uint64_t stream) const {
    std::optional<Document> result;
    const auto current = [&]() -> const Document& { return result ? *result : document; };
    if (options.back_translation.rate > 0) {
      Random random(derive_seed(stream, "back_translation"));
      const Scan scan = detail::scan_words(document.text, document.free, document.entities);
      std::vector<Edit> edits;
      for (const Span& unit : paraphrased(document, scan)) {
        const bool drawn = random.uniform() < options.back_translation.rate;
        const std::string* answer =
            drawn ? paraphrases.find(part_of(document.text, unit)) : nullptr;
        if (answer) edits.push_back({unit, *answer});
      }
      if (!edits.empty()) result = with_paraphrases(document, edits);
    }
    if (wordnet) {
      Random random(derive_seed(stream, "synonyms"));
      const Document& now = current();
      const Scan scan = detail::scan_words(now.text, now.free, now.entities);
      const auto edits = detail::choose_synonyms(
          now.text, scan.words, *wordnet, options.synonyms.senses, options.synonyms.rate, random);
      if (!edits.empty()) result = detail::edited(now, edits);
    }
    return result;
  }

  /// Whether `changed` may stand for `example`: it fits, and what is trained of a document with a
  /// prompt is the same.
  static bool fits(const Example& example, const Example& changed, size_t longest) {
    if (changed.ids.size() > longest || changed.trained() == 0) return false;
    return example.source->document.trained_whole() || trained(example) == trained(changed);
  }

  /// Hides words' tokens in the input; targets stay. False if none was.
  bool mask(const Document& document, const Tokens& tokens, uint64_t stream,
            Example& example) const {
    const Scan scan = detail::scan_words(document.text, document.free, document.entities);
    const auto ranges = detail::token_ranges(scan.words, tokens, document.text);
    const SpanMaskingOptions& spans = options.span_masking;
    Random random(derive_seed(stream, "word_dropout"));
    std::vector<bool> hidden =
        detail::choose_words(ranges.size(), options.word_dropout.rate, random);
    random = Random(derive_seed(stream, "span_masking"));
    const auto masked =
        detail::choose_spans(ranges.size(), spans.rate, spans.mean_words, spans.max_words, random);
    bool any = false;
    for (size_t i = 0; i < ranges.size(); ++i) {
      if (!hidden[i] && !masked[i]) continue;
      any = true;
      std::fill(example.ids.begin() + ranges[i].begin, example.ids.begin() + ranges[i].end,
                mask_id);
    }
    return any;
  }

  const AugmentationOptions options;
  const text::TokenizerFolder text;
  const uint64_t seed;
  int64_t mask_id = -1;
  std::optional<WordNet> wordnet;
  detail::Paraphrases paraphrases;
  std::string fingerprint;
};

Augmenter::Augmenter(const AugmentationOptions& options, const text::TokenizerFolder& text,
                     const std::vector<DatasetPtr>& sets, uint64_t seed)
    : state_(std::make_unique<State>(options, text, seed)) {
  if (!options.any()) throw Error("Augmenter: every kind of augmentation has rate 0");
  const Dataset* checked = nullptr;
  for_each_source(sets, [&](const Dataset& set, const Example& example) {
    if (checked == &set) return;
    checked = &set;
    if (detail::tokenise(example.source->document, text).ids == example.ids) return;
    throw Error("Augmenter: data set \"" + set.name + "\" was tokenised with another tokenizer");
  });
  if (state_->masks()) state_->mask_id = find_mask(options, text);
  if (options.synonyms.rate > 0) state_->wordnet.emplace(options.synonyms.wordnet);
  if (options.back_translation.rate > 0) state_->read_paraphrases(sets);
  state_->make_fingerprint();
}
Augmenter::~Augmenter() = default;

std::optional<Example> Augmenter::variant(const Example& example, const Draw& draw, double rate,
                                          int64_t longest) const {
  if (!example.source || rate <= 0) return std::nullopt;
  const uint64_t stream =
      derive_seed(state_->seed, std::to_string(draw.set) + "/" + std::to_string(draw.document) +
                                    "/" + std::to_string(draw.epoch));
  if (Random(derive_seed(stream, "rate")).uniform() >= rate) return std::nullopt;

  auto bound = static_cast<size_t>(longest);
  if (example.source->longest > 0) bound = std::min(bound, example.source->longest);
  std::optional<Document> changed = state_->rewrite(example.source->document, stream);
  std::optional<Tokens> tokens;
  std::optional<Example> result;
  if (changed) {
    tokens = detail::tokenise(*changed, state_->text);
    result = detail::make_example(*tokens, 0, tokens->ids.size(), example.domain);
    if (!State::fits(example, *result, bound)) {
      changed.reset();
      tokens.reset();
      result.reset();
    }
  }
  if (!state_->masks()) return result;

  const Document& document = changed ? *changed : example.source->document;
  if (!tokens) tokens = detail::tokenise(document, state_->text);
  Example hidden = result ? *result : example;
  hidden.source = nullptr;
  if (state_->mask(document, *tokens, stream, hidden)) result = std::move(hidden);
  return result;
}

double Augmenter::rate() const { return state_->options.rate; }
const std::string& Augmenter::fingerprint() const { return state_->fingerprint; }

}  // namespace hone::data

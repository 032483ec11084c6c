#include "hone/data/detail/encoder.h"

#include <algorithm>
#include <utility>

namespace hone::data::detail {

Encoder::Encoder(const DatasetOptions& options, const text::TokenizerFolder& text,
                 const LoadContext& context)
    : options_(options), text_(text), context_(context), variables_(text.chat_variables()) {
  const int64_t bound = context.max_length;
  if (options.max_length && bound > 0 && !context.own_length && *options.max_length > bound) {
    throw SetupError("max_length " + std::to_string(*options.max_length) +
                     " is over what a batch holds, " + std::to_string(bound) + " tokens");
  }
  max_length_ = static_cast<size_t>(options.max_length.value_or(bound));
}

EncodedRow Encoder::encode(const Sample& sample) const {
  EncodedRow row;
  if (const auto* tokens = std::get_if<TokenSample>(&sample)) {
    cut_to_length(take_tokens(*tokens), nullptr, row);
    return row;
  }
  const auto* chat = std::get_if<ChatSample>(&sample);
  if (chat && !keeps_tools(*chat, row.counts)) return row;
  std::vector<Document> found = documents(sample);
  for (Document& document : found) {
    document.entity_multiplier = context_.entity_multiplier;
    if (context_.entities && !document.trained.empty()) {
      document.entities = context_.entities->find(document.text);
    }
    cut_to_length(tokenise(document), &document, row);
  }
  if (found.empty()) ++row.counts.untrained;
  return row;
}

std::vector<Document> Encoder::documents(const Sample& sample) const {
  if (const auto* chat = std::get_if<ChatSample>(&sample)) return chat_documents(*chat);
  Document document;
  const auto add = [&](const std::string& text, bool trained) {
    const auto begin = static_cast<int64_t>(document.text.size());
    document.text += text;
    const auto end = static_cast<int64_t>(document.text.size());
    if (trained) document.trained.push_back({begin, end, 1});
  };
  if (const auto* text = std::get_if<TextSample>(&sample)) {
    if (text->text.empty()) return {document};
    add(text->text, true);
    document.free = {{0, static_cast<int64_t>(text->text.size())}};
    document.special = document.end = true;
  } else if (const auto* pair = std::get_if<PairSample>(&sample)) {
    add(pair->prompt, false);
    add(pair->completion, true);
    document.prompt = pair->prompt.size();
    document.free = pair->free;
    document.special = document.end = true;
  } else {
    for (const auto& [text, trained] : std::get<SegmentSample>(sample).segments) {
      const auto begin = static_cast<int64_t>(document.text.size());
      add(text, trained);
      if (!trained) document.free.push_back({begin, static_cast<int64_t>(document.text.size())});
    }
    if (document.trained_whole()) document.free = {{0, static_cast<int64_t>(document.text.size())}};
  }
  return {std::move(document)};
}

Tokens Encoder::tokenise(const Document& document) const {
  if (document.end && !text_.eos_id) {
    throw SetupError(
        "the tokenizer has no eos token, so that texts would have no end; set "
        "eos_token in tokenizer_config.json");
  }
  Tokens tokens = detail::tokenise(document, text_);
  if (document.prompt > 0) check_prompt(document, tokens.ids);
  return tokens;
}

void Encoder::check_prompt(const Document& document, const std::vector<int64_t>& ids) const {
  std::vector<int64_t> alone =
      text_.tokenizer.encode_ids(std::string_view(document.text).substr(0, document.prompt), true);
  if (text_.add_eos && !alone.empty() && alone.back() == text_.eos_id) alone.pop_back();
  const auto differs = std::mismatch(alone.begin(), alone.end(), ids.begin(), ids.end());
  if (differs.first == alone.end()) return;
  throw Error("the prompt's tokens change when the completion follows (from token " +
              std::to_string(differs.first - alone.begin()) +
              " on), so that it is not clear what to train; end the prompt where a token ends, "
              "for instance move a space from its end to the completion's beginning");
}

Tokens Encoder::take_tokens(const TokenSample& sample) const {
  Tokens tokens{sample.ids, {}, {}, {}};
  const int64_t vocabulary = text_.tokenizer.vocab_size();
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    if (sample.ids[i] < 0 || sample.ids[i] >= vocabulary) {
      throw Error("\"input_ids\" must lie in [0, " + std::to_string(vocabulary) + "), got " +
                  std::to_string(sample.ids[i]));
    }
    tokens.weights.push_back(sample.labels[i] == kIgnoreIndex ? 0.0F : 1.0F);
  }
  return tokens;
}

void Encoder::cut_to_length(const Tokens& tokens, const Document* document, EncodedRow& row) const {
  const size_t length = tokens.ids.size(), before = row.examples.size();
  size_t end = length, part = 0;
  if (max_length_ == 0 || length <= max_length_) {
    keep(tokens, 0, length, document, row);
  } else {
    switch (options_.on_too_long) {
      case OnTooLong::kError:
        throw Error("has " + std::to_string(length) + " tokens; max_length is " +
                    std::to_string(max_length_));
      case OnTooLong::kDrop:
        ++row.counts.dropped;
        row.counts.lost_tokens += static_cast<int64_t>(length);
        return;
      case OnTooLong::kTruncate:
        end = context_.whole_characters && document ? whole_characters(tokens, max_length_)
                                                    : max_length_;
        ++row.counts.truncated;
        row.counts.lost_tokens += static_cast<int64_t>(length - end);
        keep(tokens, 0, end, document, row);
        break;
      case OnTooLong::kSplit:
        ++row.counts.split;
        part = max_length_;
        // A part begins with the last token of the one before, from which its own first target is
        // predicted; that token is a target there, and here it is only read.
        for (size_t begin = 0; begin + 1 < length; begin += part - 1) {
          keep(tokens, begin, std::min(begin + part, length), document, row);
        }
    }
  }
  if (context_.keep_cuts && row.examples.size() > before) {
    keep_cut(tokens, end, part, document,
             {row.examples.begin() + static_cast<std::ptrdiff_t>(before), row.examples.end()}, row);
  }
}

void Encoder::keep_cut(const Tokens& tokens, size_t end, size_t part, const Document* document,
                       std::vector<Example> examples, EncodedRow& row) const {
  auto cut = std::make_shared<CutText>();
  cut->domain = context_.domain;
  cut->part = part;
  if (!document) {
    cut->examples = std::move(examples);
  } else {
    cut->document = end < tokens.ids.size() ? cut_behind(*document, tokens, end) : *document;
  }
  row.cuts.push_back(std::move(cut));
}

void Encoder::keep(const Tokens& tokens, size_t begin, size_t end, const Document* document,
                   EncodedRow& row) const {
  Example example = make_example(tokens, begin, end, context_.domain);
  const int64_t trained = example.trained();
  if (trained == 0) {
    ++row.counts.untrained;
    return;
  }
  ++row.counts.documents;
  row.counts.tokens += example.length();
  row.counts.trained += trained;
  if (!tokens.in_entity.empty()) {
    row.counts.entity_tokens +=
        std::count(tokens.in_entity.begin() + begin + 1, tokens.in_entity.begin() + end, true);
  }
  if (context_.keep_text && document && !document->free.empty()) {
    example.source = make_source(*document, tokens, begin, end, max_length_, text_);
  }
  row.examples.push_back(std::move(example));
}

}  // namespace hone::data::detail

#include "hone/text/tokenizer.h"

#include <algorithm>
#include <mutex>
#include <span>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/core/utf8.h"
#include "hone/text/detail/added_tokens.h"
#include "hone/text/detail/bpe_model.h"
#include "hone/text/detail/detokenizer.h"
#include "hone/text/detail/normalizer.h"
#include "hone/text/detail/post_processor.h"
#include "hone/text/detail/pre_tokenizer.h"

namespace hone::text {
namespace {

using namespace detail;

constexpr size_t kMaxTextBytes = size_t{1} << 30;

/// Everything a thread writes to while it encodes or decodes.
struct Scratch {
  MatchScratch match;
  BpeScratch bpe;
  Segment segment;
  Buffer normalized;
  std::vector<Stretch> raw, cooked;
};

/// Lends scratches; grows to the number of threads that encode at once.
class ScratchPool {
 public:
  class Lease {
   public:
    Lease(ScratchPool& pool, std::unique_ptr<Scratch> scratch)
        : pool_(pool), scratch_(std::move(scratch)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
      const std::lock_guard lock(pool_.mutex_);
      pool_.idle_.push_back(std::move(scratch_));
    }
    Scratch& operator*() const { return *scratch_; }

   private:
    ScratchPool& pool_;
    std::unique_ptr<Scratch> scratch_;
  };

  Lease lend() {
    std::unique_ptr<Scratch> scratch;
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        scratch = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (!scratch) scratch = std::make_unique<Scratch>();
    return Lease(*this, std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> idle_;
};

/// A text as valid UTF-8, and how to get from its bytes back to those given.
class CleanText {
 public:
  explicit CleanText(std::string_view text) : text_(text) {
    if (is_utf8(text)) return;
    clean_ = replace_invalid(text);
    text_ = clean_;
    origin_.reserve(clean_.size() + 1);
    int64_t at = 0;
    while (static_cast<size_t>(at) < text.size()) {
      const int length = checked_sequence(text.substr(static_cast<size_t>(at)));
      // A broken part of any length became the three bytes of U+FFFD.
      origin_.insert(origin_.end(), static_cast<size_t>(length > 0 ? length : 3), at);
      at += length > 0 ? length : -length;
    }
    origin_.push_back(at);
  }

  std::string_view view() const { return text_; }

  void restore(std::vector<Offset>& offsets) const {
    if (origin_.empty()) return;
    for (Offset& offset : offsets) {
      offset = {origin_[static_cast<size_t>(offset.begin)],
                origin_[static_cast<size_t>(offset.end)]};
    }
  }

 private:
  std::string clean_;
  std::string_view text_;
  std::vector<int64_t> origin_;  ///< empty if the text was valid
};

/// Collects ids only.
struct IdSink {
  static constexpr bool kWantsTokens = true;
  std::vector<int64_t>& ids;

  void added(int64_t id, ByteRange, std::string_view) { ids.push_back(id); }
  void piece(const Buffer&, size_t, ByteRange, std::span<const PieceToken> tokens) {
    for (const PieceToken& token : tokens) ids.push_back(token.id);
  }
};

struct EncodingSink {
  static constexpr bool kWantsTokens = true;
  Encoding& encoding;
  const BpeModel& model;
  std::vector<TokenSpaces>* spaces;  ///< null: not wanted

  void added(int64_t id, ByteRange span, std::string_view matched) {
    encoding.ids.push_back(id);
    encoding.offsets.push_back({span.begin, span.end});
    if (spaces) spaces->push_back(count_spaces(matched));
  }
  void piece(const Buffer& buffer, size_t base, ByteRange piece,
             std::span<const PieceToken> tokens) {
    uint32_t at = piece.begin;
    for (const PieceToken& token : tokens) {
      const ByteRange span = buffer.original(at, at + token.length);
      encoding.ids.push_back(token.id);
      encoding.offsets.push_back(
          {static_cast<int64_t>(base + span.begin), static_cast<int64_t>(base + span.end)});
      if (spaces) spaces->push_back(count_spaces(model.token(token.id)));
      at += token.length;
    }
  }
};

struct PieceSink {
  static constexpr bool kWantsTokens = false;
  std::vector<Offset>& pieces;

  void added(int64_t, ByteRange span, std::string_view) {
    pieces.push_back({span.begin, span.end});
  }
  void piece(const Buffer& buffer, size_t base, ByteRange piece, std::span<const PieceToken>) {
    const ByteRange span = buffer.original(piece.begin, piece.end);
    pieces.push_back(
        {static_cast<int64_t>(base + span.begin), static_cast<int64_t>(base + span.end)});
  }
};

}  // namespace

struct Tokenizer::State {
  Json json;
  std::string source;
  AddedTokens added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BpeModel model;
  PostProcessor post_processor;
  Detokenizer detokenizer;
  mutable ScratchPool pool;

  State(Json content, std::string name);

  std::string_view token(int64_t id) const {
    const AddedToken* token = added.find(id);
    return token ? std::string_view(token->content) : model.token(id);
  }

  template <class Sink>
  void run(std::string_view text, Scratch& scratch, Sink sink) const;
  template <class Sink>
  void run_segment(size_t base, Scratch& scratch, Sink& sink) const;
};

Tokenizer::State::State(Json content, std::string name)
    : json(std::move(content)), source(std::move(name)) {
  Keys keys(json, source, "");
  const Json none;
  const auto part = [&](std::string_view key) -> const Json& {
    const Json* found = keys.find(key);
    return found ? *found : none;
  };
  if (keys.text("version").value_or("1.0") != "1.0") keys.problem("version", "must be \"1.0\"");
  part("truncation");
  part("padding");
  model = BpeModel::parse(keys.required_object("model"), source);
  normalizer = Normalizer::parse(part("normalizer"), source);
  pre_tokenizer = PreTokenizer::parse(part("pre_tokenizer"), source);
  if (pre_tokenizer.byte_level() && !model.take_bytes()) pre_tokenizer.map_bytes();
  added = AddedTokens::parse(
      part("added_tokens"), source, [this](const std::string& text) { return model.find(text); },
      static_cast<int64_t>(model.entries()));
  MatchScratch match;
  added.build(normalizer, match);
  post_processor = PostProcessor::parse(part("post_processor"), source,
                                        [this](int64_t id) { return token(id).data() != nullptr; });
  detokenizer = Detokenizer::parse(part("decoder"), source);
  keys.done();
}

/// Cuts scratch.segment into pieces and encodes them. `base` is where in the text the bytes begin
/// that the buffer's alignment counts from.
template <class Sink>
void Tokenizer::State::run_segment(size_t base, Scratch& scratch, Sink& sink) const {
  Segment& segment = scratch.segment;
  segment.at_text_start = base == 0;
  pre_tokenizer.apply(segment, scratch.match);
  const std::string_view text = segment.buffer.text();
  for (const ByteRange piece : segment.pieces) {
    std::span<const PieceToken> tokens;
    if constexpr (Sink::kWantsTokens) {
      tokens = model.encode(text.substr(piece.begin, piece.end - piece.begin), scratch.bpe);
    }
    sink.piece(segment.buffer, base, piece, tokens);
  }
}

template <class Sink>
void Tokenizer::State::run(std::string_view text, Scratch& scratch, Sink sink) const {
  scratch.raw.clear();
  added.split(text, false, scratch.raw);
  for (const Stretch& raw : scratch.raw) {
    const std::string_view part = text.substr(raw.span.begin, raw.span.end - raw.span.begin);
    if (raw.id >= 0) {
      sink.added(raw.id, raw.span, part);
      continue;
    }
    if (!added.any(true)) {
      scratch.segment.buffer.reset(part);
      normalizer.apply(scratch.segment.buffer, scratch.match);
      run_segment(raw.span.begin, scratch, sink);
      continue;
    }
    Buffer& normalized = scratch.normalized;
    normalized.reset(part);
    normalizer.apply(normalized, scratch.match);
    scratch.cooked.clear();
    added.split(normalized.text(), true, scratch.cooked);
    for (const Stretch& cooked : scratch.cooked) {
      if (cooked.id >= 0) {
        const ByteRange span = normalized.original(cooked.span.begin, cooked.span.end);
        sink.added(
            cooked.id, {raw.span.begin + span.begin, raw.span.begin + span.end},
            normalized.text().substr(cooked.span.begin, cooked.span.end - cooked.span.begin));
      } else {
        const size_t shift =
            scratch.segment.buffer.take(normalized, cooked.span.begin, cooked.span.end);
        run_segment(raw.span.begin + shift, scratch, sink);
      }
    }
  }
}

Tokenizer Tokenizer::from_file(const std::string& tokenizer_json_path) {
  return from_json(read_json_file(tokenizer_json_path), tokenizer_json_path);
}

Tokenizer Tokenizer::from_json(Json json, const std::string& source) {
  return Tokenizer(std::make_shared<const State>(std::move(json), source));
}

namespace {

void check_size(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    throw Error("tokenizer: text of " + std::to_string(text.size()) +
                " bytes; the limit is 1 GiB: cut it");
  }
}

}  // namespace

Encoding Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  check_size(text);
  const CleanText clean(text);
  Encoding encoding;
  const auto scratch = state_->pool.lend();
  std::vector<TokenSpaces> spaces;
  const bool trims = state_->post_processor.trims();
  state_->run(clean.view(), *scratch,
              EncodingSink{encoding, state_->model, trims ? &spaces : nullptr});
  PostState post{clean.view(), add_special_tokens, encoding, true, trims, spaces};
  state_->post_processor.apply(post);
  clean.restore(encoding.offsets);
  return encoding;
}

std::vector<int64_t> Tokenizer::encode_ids(std::string_view text, bool add_special_tokens) const {
  check_size(text);
  const CleanText clean(text);
  Encoding encoding;
  const auto scratch = state_->pool.lend();
  state_->run(clean.view(), *scratch, IdSink{encoding.ids});
  std::vector<TokenSpaces> spaces;
  PostState post{clean.view(), add_special_tokens, encoding, false, false, spaces};
  state_->post_processor.apply(post);
  return std::move(encoding.ids);
}

std::string Tokenizer::decode(const std::vector<int64_t>& ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int64_t id : ids) {
    const AddedToken* added = state_->added.find(id);
    const std::string_view token =
        added ? std::string_view(added->decoded) : state_->model.token(id);
    if (!token.data() || (skip_special_tokens && state_->added.is_special(token))) continue;
    tokens.emplace_back(token);
  }
  const auto scratch = state_->pool.lend();
  return state_->detokenizer.decode(std::move(tokens), (*scratch).match);
}

int64_t Tokenizer::vocab_size() const {
  int64_t end = state_->model.end_id();
  for (const AddedToken& token : state_->added.tokens()) end = std::max(end, token.id + 1);
  return end;
}

std::optional<int64_t> Tokenizer::token_to_id(std::string_view token) const {
  if (const AddedToken* added = state_->added.find(token)) return added->id;
  const int64_t id = state_->model.find(token);
  return id < 0 ? std::nullopt : std::optional(id);
}

std::string Tokenizer::id_to_token(int64_t id) const {
  if (!has_id(id)) throw Error(state_->source + ": no token has id " + std::to_string(id));
  return std::string(state_->token(id));
}

bool Tokenizer::has_id(int64_t id) const { return state_->token(id).data() != nullptr; }

std::vector<int64_t> Tokenizer::special_ids() const {
  std::vector<int64_t> ids;
  for (const AddedToken& token : state_->added.tokens()) {
    if (token.special) ids.push_back(token.id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<int64_t> Tokenizer::added_ids() const {
  std::vector<int64_t> ids;
  for (const AddedToken& token : state_->added.tokens()) ids.push_back(token.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<Offset> Tokenizer::pieces(std::string_view text) const {
  check_size(text);
  const CleanText clean(text);
  std::vector<Offset> pieces;
  const auto scratch = state_->pool.lend();
  state_->run(clean.view(), *scratch, PieceSink{pieces});
  clean.restore(pieces);
  return pieces;
}

const Json& Tokenizer::json() const { return state_->json; }

const std::string& Tokenizer::source() const { return state_->source; }

}  // namespace hone::text

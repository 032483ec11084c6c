/// How likely a model finds given continuations.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hone/model/decoder.h"
#include "hone/text/tokenizer.h"

namespace hone::infer {

/// Token ids of a context and of what follows it; neither may be empty.
struct Continuation {
  std::vector<int64_t> context, continuation;
};

struct LogLikelihood {
  double sum = 0;       ///< log p(continuation | context), in nats
  int64_t tokens = 0;   ///< of the continuation
  bool greedy = false;  ///< whether each of them is the likeliest where it stands
};

struct LogLikelihoodOptions {
  int64_t tokens_per_batch = 4096;  ///< positions run at once, but at least one document
};

/// Scores each request. Results are in their order and do not depend on it but for rounding.
///
/// Requests are packed as documents, longest first; those that read the same ids before their last
/// token (one-token choices of one question) share one document. Logits exist only for the
/// continuations' positions, a chunk at a time.
/// Puts the decoder into eval mode meanwhile. No gradient.
/// Parity: transformers' log-softmax, as lm_eval sums it, to 1e-5 (tests/parity/generation.py).
/// Throws: hone::Error for an empty context or continuation, ids that the model lacks, or a request
///   longer than position_limit().
std::vector<LogLikelihood> log_likelihood(model::Decoder& decoder,
                                          std::span<const Continuation> requests,
                                          const LogLikelihoodOptions& options = {});

/// The ids of a request by lm_eval's rule: trailing white space of the context moves to the
/// continuation; both are encoded as one text, and the first ids of it, as many as the context
/// alone has, are the context. `prefix` (bos, or empty) is put before the context; where the
/// context is empty it must not be.
/// Throws: hone::Error if the continuation adds no token, or if context and prefix are empty.
Continuation encode_continuation(const text::Tokenizer& tokenizer, std::string_view context,
                                 std::string_view continuation,
                                 std::span<const int64_t> prefix = {});

}  // namespace hone::infer

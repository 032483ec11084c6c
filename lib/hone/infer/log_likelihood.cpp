#include "hone/infer/log_likelihood.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "hone/core/error.h"
#include "hone/infer/detail/check_ids.h"
#include "hone/infer/detail/eval_mode.h"
#include "hone/infer/generate.h"
#include "hone/kernels/linear_cross_entropy.h"

// Legend of suffixes: t positions of a batch, n targets, d model width, v vocabulary.
namespace hone::infer {
namespace {

/// What the model reads, and the requests that ask for what follows.
struct Document {
  std::vector<int64_t> ids;
  std::vector<size_t> requests;
};

/// One document for all requests that read the same ids, longest first.
std::vector<Document> documents_of(std::span<const Continuation> requests) {
  std::map<std::vector<int64_t>, std::vector<size_t>> by_ids;
  for (size_t i = 0; i < requests.size(); ++i) {
    std::vector<int64_t> ids = requests[i].context;
    ids.insert(ids.end(), requests[i].continuation.begin(), requests[i].continuation.end() - 1);
    by_ids[std::move(ids)].push_back(i);
  }
  std::vector<Document> documents;
  for (auto& [ids, indices] : by_ids) documents.push_back({ids, std::move(indices)});
  std::stable_sort(documents.begin(), documents.end(), [](const Document& a, const Document& b) {
    return a.ids.size() > b.ids.size();
  });
  return documents;
}

/// Targets of some requests in a batch, and where they stand.
struct Targets {
  std::vector<int64_t> positions, ids;
  std::vector<size_t> requests;
};

void score(model::Decoder& decoder, const at::Tensor& hidden_td, const Targets& targets,
           std::vector<LogLikelihood>& results) {
  const at::Tensor weight_vd = decoder->lm_weight();
  const auto count = static_cast<int64_t>(targets.ids.size());
  const int64_t chunk = kernels::chunk_rows(weight_vd.size(0), hidden_td.device());
  const auto indices = [&](const std::vector<int64_t>& values) {
    return torch::tensor(values, at::kLong).to(hidden_td.device());
  };
  const at::Tensor positions_n = indices(targets.positions), ids_n = indices(targets.ids);
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const at::Tensor ids = ids_n.slice(0, begin, begin + chunk);
    const at::Tensor logits_nv =
        decoder->logits(hidden_td.index_select(0, positions_n.slice(0, begin, begin + chunk)))
            .to(at::kFloat);
    const at::Tensor log_p =
        (logits_nv.gather(1, ids.unsqueeze(1)).squeeze(1) - logits_nv.logsumexp(1)).cpu();
    const at::Tensor likeliest = logits_nv.argmax(1).eq(ids).cpu();
    for (int64_t i = 0; i < ids.size(0); ++i) {
      LogLikelihood& result = results[targets.requests[begin + i]];
      result.sum += log_p[i].item<double>();
      result.greedy = result.greedy && likeliest[i].item<bool>();
      ++result.tokens;
    }
  }
}

void check(model::Decoder& decoder, std::span<const Continuation> requests) {
  const int64_t limit = position_limit(decoder->config());
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::string what = "log_likelihood: request " + std::to_string(i);
    const int64_t vocabulary = decoder->config().vocab_size;
    detail::check_ids(requests[i].context, vocabulary, what + "'s context");
    detail::check_ids(requests[i].continuation, vocabulary, what + "'s continuation");
    const size_t length = requests[i].context.size() + requests[i].continuation.size();
    if (static_cast<int64_t>(length) > limit) {
      throw Error(what + " has " + std::to_string(length) +
                  " tokens, but the model's positions end at " + std::to_string(limit) +
                  "; shorten its context");
    }
  }
}

/// Bytes of the white space, as Python's str.isspace has it, that ends `text`.
size_t trailing_space(std::string_view text) {
  static constexpr std::string_view kSpaces[] = {
      "\t",     "\n",     "\v",     "\f",     "\r",     "\x1c",   "\x1d",   "\x1e",
      "\x1f",   " ",      "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002",
      "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
      "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  const size_t whole = text.size();
  const auto ends_here = [&](std::string_view space) { return text.ends_with(space); };
  while (true) {
    const auto* found = std::find_if(std::begin(kSpaces), std::end(kSpaces), ends_here);
    if (found == std::end(kSpaces)) return whole - text.size();
    text.remove_suffix(found->size());
  }
}

}  // namespace

std::vector<LogLikelihood> log_likelihood(model::Decoder& decoder,
                                          std::span<const Continuation> requests,
                                          const LogLikelihoodOptions& options) {
  if (options.tokens_per_batch < 1) {
    throw Error("log_likelihood: tokens_per_batch must be at least 1, got " +
                std::to_string(options.tokens_per_batch));
  }
  check(decoder, requests);
  const torch::NoGradGuard no_grad;
  const detail::EvalMode eval(decoder);
  std::vector<LogLikelihood> results(requests.size(), LogLikelihood{.greedy = true});
  const std::vector<Document> documents = documents_of(requests);
  for (size_t next = 0; next < documents.size();) {
    std::vector<std::vector<int64_t>> batch;
    Targets targets;
    int64_t end = 0;
    while (next < documents.size() &&
           (batch.empty() ||
            end + static_cast<int64_t>(documents[next].ids.size()) <= options.tokens_per_batch)) {
      const Document& document = documents[next++];
      batch.push_back(document.ids);
      end += static_cast<int64_t>(document.ids.size());
      for (const size_t request : document.requests) {
        const std::vector<int64_t>& continuation = requests[request].continuation;
        const auto count = static_cast<int64_t>(continuation.size());
        for (int64_t i = 0; i < count; ++i) {
          targets.positions.push_back(end - count + i);
          targets.ids.push_back(continuation[i]);
          targets.requests.push_back(request);
        }
      }
    }
    score(decoder, decoder->hidden(model::make_input(batch, decoder->device())), targets, results);
  }
  return results;
}

Continuation encode_continuation(const text::Tokenizer& tokenizer, std::string_view context,
                                 std::string_view continuation, std::span<const int64_t> prefix) {
  const std::string_view kept = context.substr(0, context.size() - trailing_space(context));
  const std::string whole = std::string(context) + std::string(continuation);
  const std::vector<int64_t> ids = tokenizer.encode_ids(whole, /*add_special_tokens=*/false);
  const size_t length = tokenizer.encode_ids(kept, /*add_special_tokens=*/false).size();
  if (length >= ids.size()) {
    throw Error("encode_continuation: the continuation \"" + std::string(continuation) +
                "\" adds no token to its context");
  }
  Continuation result;
  result.context.assign(prefix.begin(), prefix.end());
  result.context.insert(result.context.end(), ids.begin(),
                        ids.begin() + static_cast<ptrdiff_t>(length));
  result.continuation.assign(ids.begin() + static_cast<ptrdiff_t>(length), ids.end());
  if (result.context.empty()) {
    throw Error("encode_continuation: the context is empty; give a prefix, such as bos");
  }
  return result;
}

}  // namespace hone::infer

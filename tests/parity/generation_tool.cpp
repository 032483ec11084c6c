// Runs jobs of the serve room for tests/parity/generation.py: generation_tool <jobs.json>.
// Prints one line of JSON a job, in the file's order of kinds; tensors go to the files named.
#include <torch/types.h>
#include <torch/utils.h>

#include <iostream>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/infer/generate.h"
#include "hone/infer/log_likelihood.h"
#include "hone/io/checkpoint.h"
#include "hone/io/tensors.h"
#include "hone/model/checkpoint.h"
#include "hone/text/tokenizer.h"

namespace {

using namespace hone;
using IdLists = std::vector<std::vector<int64_t>>;

/// Rows of logits through process_logits.
struct Process {
  std::string rows, out;
  std::vector<int64_t> ids;
  infer::SamplingOptions sampling;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("rows", self.rows, "");
    v("out", self.out, "");
    v("ids", self.ids, "");
    v("sampling", self.sampling, "");
  }
};

/// Logits of each position, the first prompts[d] of document d in one pass and then one by one.
struct Steps {
  std::string model, out;
  IdLists documents;
  std::vector<int64_t> prompts;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("model", self.model, "");
    v("out", self.out, "");
    v("documents", self.documents, "");
    v("prompts", self.prompts, "");
  }
};

struct Generate {
  std::string model;
  IdLists prompts;
  infer::SamplingOptions sampling;
  int64_t max_batch = 8, prefill_tokens = 4096;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("model", self.model, "");
    v("prompts", self.prompts, "");
    v("sampling", self.sampling, "");
    v("max_batch", self.max_batch, "");
    v("prefill_tokens", self.prefill_tokens, "");
  }
};

struct Score {
  std::string model;
  IdLists contexts, continuations;
  int64_t tokens_per_batch = 4096;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("model", self.model, "");
    v("contexts", self.contexts, "");
    v("continuations", self.continuations, "");
    v("tokens_per_batch", self.tokens_per_batch, "");
  }
};

struct Encode {
  std::string tokenizer;
  std::vector<std::string> contexts, continuations;
  std::vector<int64_t> prefix;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("tokenizer", self.tokenizer, "");
    v("contexts", self.contexts, "");
    v("continuations", self.continuations, "");
    v("prefix", self.prefix, "");
  }
};

struct Jobs {
  std::vector<Process> process;
  std::vector<Steps> steps;
  std::vector<Generate> generate;
  std::vector<Score> score;
  std::vector<Encode> encode;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("process", self.process, "");
    v("steps", self.steps, "");
    v("generate", self.generate, "");
    v("score", self.score, "");
    v("encode", self.encode, "");
  }
};

model::Decoder decoder_of(const std::string& folder) {
  model::Decoder decoder = model::load_decoder(io::Checkpoint::open(folder), at::kCPU, at::kFloat);
  decoder->eval();
  return decoder;
}

Json run(const Process& job) {
  at::Tensor rows = io::read_tensor(io::Safetensors(job.rows), "logits").clone();
  const auto width = static_cast<size_t>(rows.size(1));
  for (int64_t i = 0; i < rows.size(0); ++i) {
    infer::process_logits({rows[i].data_ptr<float>(), width}, job.ids, job.sampling);
  }
  io::write_safetensors(job.out, {{"logits", rows}});
  return nullptr;
}

Json run(const Steps& job) {
  const torch::NoGradGuard no_grad;
  model::Decoder decoder = decoder_of(job.model);
  model::KvCache cache(decoder->cache_shapes(), at::kFloat);
  std::vector<std::vector<at::Tensor>> logits(job.documents.size());
  std::vector<int64_t> done(job.documents.size(), 0);
  while (true) {
    // All documents are as long behind their prompts, so that they end together.
    IdLists parts;
    std::vector<int64_t> past = done;
    for (size_t d = 0; d < job.documents.size(); ++d) {
      const int64_t end = done[d] == 0 ? job.prompts[d] : done[d] + 1;
      if (end > static_cast<int64_t>(job.documents[d].size())) break;
      parts.emplace_back(job.documents[d].begin() + done[d], job.documents[d].begin() + end);
      done[d] = end;
    }
    if (parts.size() < job.documents.size()) break;
    const at::Tensor rows =
        decoder->logits(decoder->hidden(model::make_input(parts, at::kCPU, past), cache, 0));
    int64_t row = 0;
    for (size_t d = 0; d < parts.size(); ++d) {
      logits[d].push_back(rows.slice(0, row, row + static_cast<int64_t>(parts[d].size())));
      row += static_cast<int64_t>(parts[d].size());
    }
  }
  io::NamedTensors out;
  for (size_t d = 0; d < logits.size(); ++d)
    out.emplace_back(std::to_string(d), at::cat(logits[d]));
  io::write_safetensors(job.out, out);
  return nullptr;
}

Json run(const Generate& job) {
  model::Decoder decoder = decoder_of(job.model);
  const auto tokenizer = text::Tokenizer::from_file(job.model + "/tokenizer.json");
  infer::SamplingOptions sampling = job.sampling;
  if (!sampling.stop_ids) sampling.stop_ids = infer::eos_ids(job.model);
  IdLists streamed(job.prompts.size());
  const auto on_token = [&](size_t prompt, int64_t id) {
    streamed[prompt].push_back(id);
    return true;
  };
  const auto results = infer::generate(
      decoder, tokenizer, job.prompts, sampling,
      {.max_batch = job.max_batch, .prefill_tokens = job.prefill_tokens, .on_token = on_token});
  Json out = Json::array();
  for (size_t i = 0; i < results.size(); ++i) {
    if (streamed[i] != results[i].ids) throw Error("on_token saw other ids than the result has");
    out.push_back({{"ids", results[i].ids},
                   {"text", results[i].text},
                   {"finish", enum_name(results[i].finish)}});
  }
  return out;
}

Json run(const Score& job) {
  model::Decoder decoder = decoder_of(job.model);
  std::vector<infer::Continuation> requests;
  for (size_t i = 0; i < job.contexts.size(); ++i) {
    requests.push_back({job.contexts[i], job.continuations[i]});
  }
  Json out = Json::array();
  for (const auto& result :
       infer::log_likelihood(decoder, requests, {.tokens_per_batch = job.tokens_per_batch})) {
    out.push_back({{"sum", result.sum}, {"tokens", result.tokens}, {"greedy", result.greedy}});
  }
  return out;
}

Json run(const Encode& job) {
  const auto tokenizer = text::Tokenizer::from_file(job.tokenizer);
  Json out = Json::array();
  for (size_t i = 0; i < job.contexts.size(); ++i) {
    const auto pair =
        infer::encode_continuation(tokenizer, job.contexts[i], job.continuations[i], job.prefix);
    out.push_back({pair.context, pair.continuation});
  }
  return out;
}

template <class Job>
void run_all(const std::vector<Job>& jobs) {
  for (const Job& job : jobs) std::cout << run(job).dump() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw Error("usage: generation_tool <jobs.json>");
    const Jobs jobs = config::read_config<Jobs>(read_json_file(argv[1]));
    run_all(jobs.process);
    run_all(jobs.steps);
    run_all(jobs.generate);
    run_all(jobs.score);
    run_all(jobs.encode);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}

// Runs decoder jobs for the Python side of the parity tests: model_tool <jobs.json>.
// Each job loads a checkpoint folder, works on one packed batch and writes what it computed.
#include <torch/types.h>
#include <torch/utils.h>

#include <filesystem>
#include <iostream>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/io/tensors.h"
#include "hone/kernels/linear_cross_entropy.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/model/pruned/export.h"
#include "hone/model/pruned/pruning.h"
#include "hone/model/resize_vocabulary.h"
#include "hone/model/sharing/conversion.h"
#include "hone/optim/adamw.h"

namespace {

using namespace hone;

struct Grow {
  int64_t rows = 0;
  std::vector<int64_t> ids;
  std::vector<std::vector<int64_t>> pieces;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("rows", self.rows, "");
    v("ids", self.ids, "");
    v("pieces", self.pieces, "");
  }
};

struct Job {
  std::string model, batch, out;
  bool attn_factor_multiplies = false;
  int64_t checkpoint_every = 0;
  std::optional<Grow> grow;
  int64_t steps = 0;
  double lr = 1e-3, weight_decay = 0.1;
  std::optional<nn::LoraOptions> lora;
  std::vector<int64_t> token_rows;
  std::optional<std::string> adapter, save, save_adapter;
  bool merge = false;
  std::optional<std::string> prune;  // a value of hone_pruned, as text
  bool prune_last = false;           // after the adapter was added, not before
  bool cached = false;
  model::LayerGroups share;
  std::optional<std::string> export_to, export_adapter;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("model", self.model, "");
    v("batch", self.batch, "");
    v("out", self.out, "");
    v("attn_factor_multiplies", self.attn_factor_multiplies, "");
    v("checkpoint_every", self.checkpoint_every, "");
    v("grow", self.grow, "");
    v("steps", self.steps, "");
    v("lr", self.lr, "");
    v("weight_decay", self.weight_decay, "");
    v("lora", self.lora, "");
    v("token_rows", self.token_rows, "");
    v("adapter", self.adapter, "");
    v("save", self.save, "");
    v("save_adapter", self.save_adapter, "");
    v("merge", self.merge, "");
    v("prune", self.prune, "");
    v("prune_last", self.prune_last, "");
    v("cached", self.cached, "");
    v("share", self.share, "");
    v("export_to", self.export_to, "");
    v("export_adapter", self.export_adapter, "");
  }
};

struct Jobs {
  std::vector<Job> jobs;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("jobs", self.jobs, "");
  }
};

/// Mean loss over the targets, with its graph.
at::Tensor mean_loss(model::Decoder& decoder, const model::DecoderInput& input,
                     const at::Tensor& targets) {
  const at::Tensor sum =
      kernels::linear_cross_entropy(decoder->hidden(input), decoder->lm_weight(), targets, {});
  return sum / targets.ne(-100).sum();
}

at::Tensor logits(model::Decoder& decoder, const model::DecoderInput& input) {
  const torch::NoGradGuard no_grad;
  return decoder->logits(decoder->hidden(input));
}

/// The logits of the first document, its tokens one by one over kept keys and values.
at::Tensor cached_logits(model::Decoder& decoder, const at::Tensor& ids, int64_t length) {
  decoder->eval();
  model::KvCache cache(decoder->cache_shapes(), decoder->dtype());
  std::vector<at::Tensor> rows;
  for (int64_t i = 0; i < length; ++i) {
    const std::vector<std::vector<int64_t>> next = {{ids[i].item<int64_t>()}};
    const std::vector<int64_t> past = {i};
    rows.push_back(decoder->hidden(model::make_input(next, at::kCPU, past), cache, 0));
  }
  const torch::NoGradGuard no_grad;
  return decoder->logits(at::cat(rows));
}

void prune(const Job& job, model::Decoder& decoder) {
  if (!job.prune) return;
  model::cut_to(decoder,
                model::pruned_from_json(parse_json(*job.prune, "prune"), decoder->config(), "job"));
}

void put_adapter(const std::string& folder, const io::AdapterFiles& files) {
  std::filesystem::create_directories(folder);
  io::write_adapter(folder, files);
}

model::Decoder prepare(const Job& job, const io::Checkpoint& checkpoint) {
  const auto rule =
      job.attn_factor_multiplies ? nn::AttnFactorRule::kMultiplies : nn::AttnFactorRule::kIgnored;
  model::Decoder decoder =
      model::load_decoder(checkpoint, at::kCPU, at::kFloat, {.attn_factor = rule});
  decoder->set_checkpointing(job.checkpoint_every);
  if (job.grow) {
    model::NewRows rows;
    for (size_t i = 0; i < job.grow->ids.size(); ++i) {
      rows.emplace_back(job.grow->ids[i], job.grow->pieces[i]);
    }
    model::resize_vocabulary(decoder, job.grow->rows, rows);
  }
  if (!job.share.empty()) model::share_weights(decoder, job.share);
  if (!job.prune_last) prune(job, decoder);
  if (job.lora) model::add_lora(decoder, *job.lora, /*seed=*/7, job.token_rows);
  if (job.adapter) model::load_adapter(decoder, io::read_adapter(*job.adapter));
  if (job.prune_last) prune(job, decoder);
  return decoder;
}

void save(const Job& job, model::Decoder& decoder, const io::Checkpoint& checkpoint) {
  if (job.save_adapter) put_adapter(*job.save_adapter, model::adapter_files(decoder, job.model));
  if (job.export_to) {
    model::export_pruned(*job.export_to, *job.export_to + "-compact", decoder, checkpoint.config(),
                         {.source_folder = job.model});
  }
  if (job.export_adapter) {
    put_adapter(*job.export_adapter, model::exported_adapter(decoder, *job.export_to));
  }
  if (job.merge) model::merge_lora(decoder);
  if (job.save)
    model::save_decoder(*job.save, decoder, checkpoint.config(), {.source_folder = job.model});
}

void run(const Job& job) {
  const auto checkpoint = io::Checkpoint::open(job.model);
  model::Decoder decoder = prepare(job, checkpoint);
  const io::Safetensors file(job.batch);
  const at::Tensor offsets = io::read_tensor(file, "offsets");
  model::DecoderInput input{
      io::read_tensor(file, "ids"), io::read_tensor(file, "positions"),
      kernels::Sequences::from_offsets(
          {offsets.data_ptr<int64_t>(), offsets.data_ptr<int64_t>() + offsets.numel()}, at::kCPU)};
  const at::Tensor targets = io::read_tensor(file, "targets");

  io::NamedTensors out = {{"logits", logits(decoder, input)}};
  const at::Tensor loss = mean_loss(decoder, input, targets);
  loss.backward();
  out.emplace_back("loss", loss.detach());
  optim::AdamWOptions options{.lr = job.lr, .weight_decay = job.weight_decay};
  const auto parameters = model::trainable_parameters(decoder);
  for (const auto& [name, parameter] : parameters) {
    if (parameter.grad().defined()) out.emplace_back("grad." + name, parameter.grad().clone());
  }
  if (job.steps > 0) {
    optim::FusedAdamW optimizer(parameters, options);
    std::vector<double> losses;
    for (int64_t step = 0; step < job.steps; ++step) {
      optimizer.zero_grad();
      const at::Tensor now = mean_loss(decoder, input, targets);
      now.backward();
      optimizer.step();
      losses.push_back(now.item<double>());
    }
    out.emplace_back("losses", torch::tensor(losses, at::kDouble));
    out.emplace_back("logits_after", logits(decoder, input));
  }
  save(job, decoder, checkpoint);
  if (job.merge) out.emplace_back("logits_merged", logits(decoder, input));
  if (job.cached) {
    out.emplace_back("logits_cached", cached_logits(decoder, input.ids, input.segments.offsets[1]));
  }
  io::write_safetensors(job.out, out);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw Error("usage: model_tool <jobs.json>");
    for (const Job& job : config::read_config<Jobs>(read_json_file(argv[1])).jobs) run(job);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}

#include "hone/config/detail/other_names.h"

#include <algorithm>
#include <array>
#include <utility>

namespace hone::config::detail {
namespace {

using Pair = std::pair<const char*, const char*>;

/// Other trainers' names, and the key here. Of several keys for one name the first that the
/// document has counts.
constexpr std::array kTheirs = {
    // Optimiser and schedule.
    Pair{"learning_rate", "train.lr"},
    Pair{"epochs", "train.epochs"},
    Pair{"num_epochs", "train.epochs"},
    Pair{"num_train_epochs", "train.epochs"},
    Pair{"epochs", "train.steps"},
    Pair{"num_epochs", "train.steps"},
    Pair{"num_train_epochs", "train.steps"},
    Pair{"max_steps", "train.steps"},
    Pair{"max_steps_per_epoch", "train.steps"},
    Pair{"gradient_accumulation_steps", "train.accumulation"},
    Pair{"gradient_accumulation", "train.accumulation"},
    Pair{"lr_scheduler", "train.decay"},
    Pair{"lr_scheduler_type", "train.decay"},
    Pair{"warmup_steps", "train.warmup_ratio"},
    Pair{"num_warmup_steps", "train.warmup_ratio"},
    Pair{"adam_beta1", "train.beta1"},
    Pair{"adam_beta2", "train.beta2"},
    Pair{"adam_epsilon", "train.eps"},
    Pair{"max_grad_norm", "train.clip_norm"},
    Pair{"clip_grad_norm", "train.clip_norm"},
    Pair{"logging_steps", "train.log_every"},
    Pair{"log_every_n_steps", "train.log_every"},
    Pair{"eval_steps", "train.eval_every"},
    Pair{"save_steps", "train.save_every"},
    Pair{"save_total_limit", "train.keep_checkpoints"},
    // Data.
    Pair{"per_device_train_batch_size", "data.tokens_per_batch"},
    Pair{"train_batch_size", "data.tokens_per_batch"},
    Pair{"micro_batch_size", "data.tokens_per_batch"},
    Pair{"batch_size", "data.tokens_per_batch"},
    Pair{"dataset", "data.train"},
    Pair{"datasets", "data.train"},
    Pair{"train_file", "data.train"},
    Pair{"eval_dataset", "data.held_out"},
    Pair{"test_datasets", "data.held_out"},
    Pair{"validation_file", "data.held_out"},
    Pair{"val_size", "data.validation"},
    Pair{"val_set_size", "data.validation"},
    Pair{"val_size", "data.held_out"},
    Pair{"val_set_size", "data.held_out"},
    Pair{"cutoff_len", "data.train[].max_length"},
    Pair{"max_seq_len", "data.train[].max_length"},
    Pair{"max_seq_length", "data.train[].max_length"},
    Pair{"sequence_len", "data.train[].max_length"},
    Pair{"max_samples", "data.train[].max_rows"},
    Pair{"data_files", "data.train[].files"},
    Pair{"train_on_inputs", "data.train[].train_on"},
    // Model and adapter.
    Pair{"model_name_or_path", "model"},
    Pair{"base_model", "model"},
    Pair{"finetuning_type", "tuning"},
    Pair{"adapter", "tuning"},
    Pair{"peft_config", "lora"},
    Pair{"r", "lora.rank"},
    Pair{"lora_r", "lora.rank"},
    Pair{"lora_rank", "lora.rank"},
    Pair{"lora_alpha", "lora.alpha"},
    Pair{"lora_dropout", "lora.dropout"},
    Pair{"target_modules", "lora.targets"},
    Pair{"lora_target", "lora.targets"},
    Pair{"lora_target_modules", "lora.targets"},
    Pair{"lora_attn_modules", "lora.targets"},
    Pair{"additional_target", "lora.modules_to_save"},
    Pair{"lora_modules_to_save", "lora.modules_to_save"},
    Pair{"use_rslora", "lora.rslora"},
    Pair{"peft_use_rslora", "lora.rslora"},
    Pair{"use_dora", "lora.dora"},
    Pair{"peft_use_dora", "lora.dora"},
    Pair{"gradient_checkpointing", "memory.checkpoint_every"},
    Pair{"enable_activation_checkpointing", "memory.checkpoint_every"},
    Pair{"neftune_noise_alpha", "neftune_alpha"},
    Pair{"num_threads", "threads"},
    Pair{"tokenizer_name", "tokenizer.folder"},
};

/// What a flag does here.
constexpr std::array kFlags = {
    Pair{"output_dir", "the folder is named by --out"},
    Pair{"out", "the folder is named by --out"},
    Pair{"resume_from_checkpoint", "a run goes on by --resume"},
    Pair{"resume", "a run goes on by --resume"},
    Pair{"overwrite_output_dir", "a run is never overwritten; name another --out"},
};

/// Keys of one executable, for recipes of another.
constexpr std::array kElsewhere = {
    Pair{"controllers", "hone-dynamic"},   Pair{"signals", "hone-dynamic"},
    Pair{"neftune_alpha", "hone-dynamic"}, Pair{"neftune_noise_alpha", "hone-dynamic"},
    Pair{"space", "hone-static"},          Pair{"objectives", "hone-static"},
    Pair{"sampler", "hone-static"},        Pair{"pruner", "hone-static"},
    Pair{"budget", "hone-static"},         Pair{"presets", "hone-static"},
};

/// The document's keys that are `key`, or end in it where the document holds another's recipe.
std::vector<std::string> places(std::string_view key, const std::vector<std::string>& all) {
  std::vector<std::string> found;
  const std::string end = "." + std::string(key);
  for (const std::string& name : all) {
    if (name == key || name.ends_with(end)) found.push_back(name);
  }
  return found;
}

/// "train.lr", "lora.rank or lora.alpha"; the first three.
std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(3, names.size()); ++i) {
    text += (i == 0 ? "" : " or ") + names[i];
  }
  return text;
}

template <class Table>
const char* second(const Table& table, std::string_view key) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Pair& pair) { return pair.first == key; });
  return found == table.end() ? nullptr : found->second;
}

}  // namespace

std::string hint(std::string_view key, const std::vector<std::string>& known,
                 const std::vector<std::string>& all) {
  for (const auto& [theirs, ours] : kTheirs) {
    if (theirs != key) continue;
    const auto found = places(ours, all);
    if (!found.empty()) return "; did you mean " + found.front() + "?";
  }
  if (const char* flag = second(kFlags, key)) return std::string("; ") + flag;
  for (const std::string& name : known) {
    if (std::is_permutation(key.begin(), key.end(), name.begin(), name.end())) {
      return "; did you mean " + name + "?";
    }
  }
  if (const auto found = places(key, all); !found.empty()) {
    return "; did you mean " + listed(found) + "?";
  }
  const char* app = second(kElsewhere, key);
  return app ? std::string("; recipes of ") + app + " have it" : "";
}

}  // namespace hone::config::detail

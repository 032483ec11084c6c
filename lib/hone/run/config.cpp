#include "hone/run/config.h"

#include <algorithm>
#include <cstdint>
#include <set>

#include "hone/run/config_json.h"

namespace hone::run {
namespace {

/// What makes a new adapter.
constexpr const char* kLoraKeys[] = {
    "rank",   "alpha", "dropout",         "targets",      "target_parameters", "target_regex",
    "rslora", "dora",  "modules_to_save", "rank_pattern", "alpha_pattern"};

/// What does not fit between lora.from and the rest.
void check_first_adapter(const Config& config, Validation& v) {
  if (config.architecture) v.problem("lora/from", "needs the base that it adapts: give a model");
  if (config.tuning == Tuning::kFull && !config.lora.merge_first) {
    v.problem("lora/merge_first",
              "must be true with tuning full, which trains the base's weights; or set tuning lora "
              "to train the adapter on");
  } else if (config.tuning == Tuning::kFull) {
    for (const char* key : kLoraKeys) v.no_effect("lora/" + std::string(key), "with tuning full");
  }
  if (config.lora.continues() && config.vocabulary.grows()) {
    v.problem("lora/from",
              "an adapter that is trained on has no rows for new tokens: set lora.merge_first, or "
              "vocabulary.new_tokens 0");
  }
}

/// What does not fit between multi_token and the model.
void check_multi_token(const Config& config, Validation& v) {
  const bool train = config.multi_token.train;
  if (train && config.tuning == Tuning::kLora) {
    v.problem("multi_token/train",
              "only with tuning full: an adapter's files have no place for these layers");
  }
  if (!config.architecture) return;
  const bool made = config.architecture->num_nextn_predict_layers.value_or(0) > 0;
  if (made && !train) {
    v.problem("architecture/num_nextn_predict_layers",
              "makes layers that nothing would train; set multi_token.train, or 0");
  } else if (train && !made) {
    v.problem("multi_token/train", "needs architecture.num_nextn_predict_layers, 1 or more");
  }
}

/// What does not fit between indexer and the rest.
void check_indexer(const Config& config, Validation& v) {
  if (config.indexer.train == nn::IndexLearning::kOff) return;
  if (config.architecture) v.problem("indexer/train", "needs a trained model below it");
  if (config.tuning == Tuning::kLora) {
    v.problem("indexer/train",
              "only with tuning full: an adapter's files have no place for the indexers");
  }
  if (config.vocabulary.embedding_steps > 0) {
    v.problem("indexer/train",
              "vocabulary.embedding_steps train the embeddings alone; grow in a run of its own");
  }
  if (config.indexer.train != nn::IndexLearning::kWarmUp) return;
  if (config.vocabulary.grows()) {
    v.problem("indexer/train", "warm_up trains no embeddings, which new tokens need; grow first");
  }
  if (config.experts.bias_rate > 0 || config.experts.balance_loss > 0) {
    v.problem("indexer/train", "warm_up leaves the experts as they are; drop experts");
  }
  if (config.distillation) {
    v.problem("indexer/train", "warm_up trains nothing by a teacher; drop distillation");
  }
}

/// What does not fit between what a run learns from and the rest.
void check_distillation(const Config& config, Validation& v) {
  if (!config.distillation) return;
  if (config.distillation->cache && config.data.augmentation.any()) {
    v.problem("distillation/cache",
              "has no rows for text that data.augmentation changes; learn from the teacher itself");
  }
  if (!config.distillation->own_base()) return;
  const char* const key = "distillation/teacher";
  if (config.tuning == Tuning::kFull) {
    v.problem(
        key,
        "base, the run's own model with its adapter off, is there with tuning lora only; give "
        "the model's folder (a folder of that name is ./base)");
  }
  if (config.vocabulary.grows()) {
    v.problem(key, "base knows no new tokens: teach what it knows before the vocabulary grows");
  }
}

/// Problems of data sets that share a name, and the set of their domains.
std::set<std::string> check_sets(const std::vector<data::DatasetOptions>& sets,
                                 const std::string& key, Validation& v) {
  std::set<std::string> names, domains;
  for (size_t i = 0; i < sets.size(); ++i) {
    if (!names.insert(sets[i].label()).second) {
      v.problem("data/" + key + "/" + std::to_string(i) + "/name",
                "is used by two data sets: \"" + sets[i].label() + "\"");
    }
    domains.insert(sets[i].domain);
  }
  return domains;
}

void check_domain(const std::string& name, const std::string& key,
                  const std::set<std::string>& known, const char* where, Validation& v) {
  if (known.contains(name)) return;
  v.problem(key, "no data set in " + std::string(where) + " has the domain \"" + name + "\"" +
                     did_you_mean(name, {known.begin(), known.end()}));
}

/// What does not fit between sharing and the rest.
void check_sharing(const Config& config, Validation& v) {
  if (!config.sharing) return;
  if (config.architecture) v.problem("sharing", "needs trained layers to begin with: give a model");
  if (config.tuning == Tuning::kLora) {
    v.problem("sharing",
              "only with tuning full: an adapter's base would be a model that is nowhere saved; "
              "share in a run of its own and adapt what it saves");
  }
}

/// What does not fit between a student and the rest.
void check_student(const Config& config, Validation& v) {
  if (!config.student) return;
  if (config.architecture) v.problem("student", "is cut from trained layers: give a model");
  if (config.tuning == Tuning::kLora) {
    v.problem("student",
              "only with tuning full: an adapter's base would be a model that is nowhere saved");
  }
  for (const bool other : {config.vocabulary.grows(), config.sharing.has_value()}) {
    if (!other) continue;
    v.problem("student", "is cut in a run of its own where the vocabulary grows or layers share");
  }
}

/// What does not fit between quantisation and the rest.
void check_quantisation(const Config& config, Validation& v) {
  if (!config.quantisation) return;
  if (config.tuning == Tuning::kLora && config.lora.dropout > 0) {
    v.problem("lora/dropout",
              "must be 0 with quantisation, which rounds the adapter's change together with the "
              "weight");
  }
  if (config.quantisation->smooth && config.tuning == Tuning::kLora) {
    v.problem("quantisation/smooth",
              "only with tuning full: an adapter's base would be a model that is nowhere saved");
  }
  if (config.sharing) {
    v.problem("quantisation", "layers that share weights cannot be rounded yet; leave sharing out");
  }
  if (!config.train.only_evaluates()) return;
  if (config.tuning == Tuning::kLora) {
    v.problem(
        "lora/merge_first",
        "must be true with train.steps 0 and quantisation, and tuning full: integers are made "
        "of the merged model");
  }
  v.no_effect("quantisation/start", "with train.steps 0");
  if (config.quantisation->save == SavedForm::kNumbers && !config.quantisation->smooth) {
    v.problem("quantisation/save", "numbers are the model as it is with train.steps 0");
  }
}

/// What weights of 0 leave nothing to do.
void check_zero_weights(const Config& config, Validation& v) {
  const auto& sets = config.data.train;
  const auto drawn = [&](const data::DatasetOptions& set) {
    return set.weight > 0 && config.weights.weight_of(set.domain) > 0;
  };
  if (!sets.empty() && std::none_of(sets.begin(), sets.end(), drawn)) {
    v.problem("data/train",
              "leaves nothing to train: every set has weight 0, or its domain has in weights; give "
              "one of them a weight above 0");
  }
  const auto& guard = config.guard;
  if (!guard.domain || guard.action != GuardAction::kRebalance) return;
  const auto guarded = [&](const data::DatasetOptions& set) { return set.domain == guard.domain; };
  if (std::any_of(sets.begin(), sets.end(), guarded) &&
      std::none_of(sets.begin(), sets.end(),
                   [&](const auto& set) { return guarded(set) && drawn(set); })) {
    v.problem("guard/action", "rebalance cannot raise the share of \"" + *guard.domain +
                                  "\", whose weight is 0; give it a weight above 0");
  }
}

}  // namespace

void TokenizerOptions::validate(Validation& v) const {
  if (folder) {
    v.no_effect("vocab_size", "with a tokenizer folder");
    v.no_effect("family", "with a tokenizer folder");
  }
}

void VocabularyOptions::validate(Validation& v) const {
  if (!grows()) {
    for (const char* key : {"mode", "domains", "terms_file", "min_pieces", "min_count",
                            "embedding_steps", "embedding_lr"}) {
      v.no_effect(key, "with new_tokens 0 and new_terms 0");
    }
  } else {
    if (terms_file) {
      for (const char* key : {"domains", "min_pieces", "min_count"}) {
        v.no_effect(key, "with a terms_file");
      }
    }
    if (embedding_steps == 0) v.no_effect("embedding_lr", "with embedding_steps 0");
  }
}

void ExpertOptions::validate(Validation& v) const {
  if (balance_loss == 0) v.no_effect("balance_over", "with balance_loss 0");
}

void HiddenOptions::validate(Validation& v) const {
  if (on()) return;
  for (const char* key : {"distance", "last", "until"}) v.no_effect(key, "with weight 0");
}

void OnPolicyOptions::validate(Validation& v) const {
  if (on()) return;
  for (const char* key : {"min_prompt", "max_new_tokens", "temperature"}) {
    v.no_effect(key, "with share 0");
  }
}

void DistillationOptions::validate(Validation& v) const {
  if (teacher.has_value() == cache.has_value()) {
    v.problem("teacher", "give either a teacher or a cache of one to learn from");
  }
  if (cache) {
    v.no_effect("top_k", "with a cache, whose rows are written");
    if (on_policy.on()) {
      v.problem("on_policy", "a cache knows nothing of other text; learn from the teacher itself");
    }
    if (hidden.on()) {
      v.problem("hidden", "a cache has no layers; learn from the teacher itself");
    }
    if (temperature != 1) {
      v.problem("temperature",
                "must be 1 with a cache, which does not say how the rest of a row spreads at "
                "another; learn from the teacher itself");
    }
  }
  if (divergence != kernels::Divergence::kJsd) v.no_effect("beta", "without divergence jsd");
  if (temperature == 1) v.no_effect("temperature_squared", "with temperature 1");
}

void StudentOptions::validate(Validation& v) const {
  const bool none = !num_hidden_layers && !num_attention_heads && !num_key_value_heads &&
                    !intermediate_size && !hidden_size;
  if (none) v.problem("hidden_size", "give at least one size of the student");
  if (!hidden_size) v.no_effect("width", "without hidden_size");
  if (!hidden_size || width == KeptWidth::kChannels) {
    v.no_effect("keep_tied", "without principal directions of a hidden_size");
  }
}

void SharingOptions::validate(Validation& v) const {
  if (what != Shared::kWeights) {
    v.problem("what", "only weights are shared: no checkpoint folder can say that layers share " +
                          enum_name(what));
  }
  if (layers.empty() == (pairs == 0)) {
    v.problem("pairs", "give either groups of layers, or how many pairs are chosen");
  }
  if (!layers.empty()) v.no_effect("calibration_tokens", "with layers, which are not measured");
  for (const std::string& problem : model::group_problems(layers, INT64_MAX)) {
    const size_t colon = problem.find(": ");
    v.problem("layers/" + problem.substr(0, colon), problem.substr(colon + 2));
  }
}

void QuantisationOptions::validate(Validation& v) const {
  if (scheme == Scheme::kW8A8 && group) {
    v.problem("group", "w8a8 has a scale a row of the weight; leave it out");
  }
  if (!smooth && !sensitivity) {
    v.no_effect("calibration_tokens", "without smooth or sensitivity");
  }
}

void MultiTokenOptions::validate(Validation& v) const {
  if (!train) v.no_effect("weight", "without train");
}

void IndexOptions::validate(Validation& v) const {
  if (train == nn::IndexLearning::kOff) v.no_effect("weight", "with train off");
}

void WeightOptions::validate(Validation& v) const {
  for (const auto& [name, weight] : domains) {
    if (!(weight >= 0 && weight <= 1e6))
      v.problem("domains/" + pointer_step(name), "must be in [0, 1e6]");
  }
  const bool entities = !entity_terms.empty() || entity_file;
  if (!entities) {
    v.no_effect("entity_multiplier", "without entity_terms or entity_file");
    v.no_effect("entity_ignore_case", "without entity_terms or entity_file");
  } else if (entity_multiplier == 1.0) {
    v.problem("entity_multiplier", "must differ from 1 for the entities to count");
  }
}

void GuardOptions::validate(Validation& v) const {
  if (!domain) {
    for (const char* key : {"max_ratio", "action", "rebalance_factor"}) {
      v.no_effect(key, "without a guarded domain");
    }
  } else if (action == GuardAction::kStop) {
    v.no_effect("rebalance_factor", "with action stop");
  }
}

void PromptOptions::validate(Validation& v) const {
  if (texts.empty()) {
    for (const char* key : {"system", "max_new_tokens"}) v.no_effect(key, "without texts");
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) v.problem("texts/" + std::to_string(i), "is empty");
  }
}

void LoraRecipe::validate(Validation& v) const {
  nn::LoraOptions::validate(v);
  if (!from) v.no_effect("merge_first", "without from");
  if (!continues()) return;
  for (const char* key : kLoraKeys) {
    v.no_effect(key, "with from, whose adapter has options of its own");
  }
}

void DataOptions::validate(Validation& v) const {
  if (train.size() < 2) v.no_effect("temperature", "with fewer than two training sets");
}

std::vector<data::DatasetOptions> DataOptions::train_sets() const {
  std::vector<data::DatasetOptions> sets = train;
  if (!validation) return sets;
  for (data::DatasetOptions& set : sets) set.portion = {*validation, /*held_out=*/false};
  return sets;
}

std::vector<data::DatasetOptions> DataOptions::held_out_sets() const {
  std::vector<data::DatasetOptions> sets = held_out;
  if (!validation) return sets;
  for (data::DatasetOptions set : train) {
    set.portion = {*validation, /*held_out=*/true};
    sets.push_back(std::move(set));
  }
  return sets;
}

void Config::validate(Validation& v) const {
  if (model.has_value() == architecture.has_value()) {
    v.problem("model", "give either a checkpoint folder or an architecture to start from");
  }
  if (model) v.no_effect("tokenizer", "with a model, which has its own");
  if (architecture && tuning == Tuning::kLora) {
    v.problem("tuning", "lora needs trained weights below it: give a model");
  }
  if (device == machine::DeviceChoice::kCuda) {
    v.no_effect("compute", "with device cuda, which computes in its weights' type");
  }
  if (lora.from) {
    check_first_adapter(*this, v);
  } else if (tuning == Tuning::kFull) {
    v.no_effect("lora", "with tuning full");
  } else if (experts.bias_rate > 0) {
    v.problem("experts/bias_rate",
              "only with tuning full: an adapter's files do not hold the routers' biases");
  }
  check_multi_token(*this, v);
  check_indexer(*this, v);
  check_distillation(*this, v);
  check_sharing(*this, v);
  check_quantisation(*this, v);
  check_student(*this, v);
  if (!train.only_evaluates() && data.train.empty()) {
    v.problem("data/train", "needs at least one data set, unless train.steps is 0");
  }
  if (train.only_evaluates()) {
    if (data.held_out.empty()) v.problem("data/held_out", "needs a data set to score with steps 0");
    v.no_effect("data/validation", "with train.steps 0, which trains on no set");
    if (architecture) v.problem("architecture", "has nothing learnt to score: give a model");
    const auto unused = [&v](const char* key) {
      v.no_effect(key, "with train.steps 0, which only evaluates");
    };
    for (const char* key : {"data/train", "vocabulary", "weights", "multi_token", "indexer",
                            "distillation", "sharing", "student", "guard", "memory"}) {
      unused(key);
    }
    if (!quantisation) unused("save");
    if (!lora.from) {  // an adapter may be scored
      for (const char* key : {"tuning", "lora"}) unused(key);
    }
  }
  if (!train.only_evaluates()) check_zero_weights(*this, v);
  const std::set<std::string> trained = check_sets(data.train, "train", v);
  const std::set<std::string> scored = check_sets(data.held_out_sets(), "held_out", v);
  for (const auto& [name, weight] : weights.domains) {
    check_domain(name, "weights/domains/" + pointer_step(name), trained, "data.train", v);
  }
  for (const std::string& name : vocabulary.domains) {
    check_domain(name, "vocabulary/domains", trained, "data.train", v);
  }
  const bool weighted = std::any_of(weights.domains.begin(), weights.domains.end(),
                                    [](const auto& domain) { return domain.second > 0; });
  if (vocabulary.grows() && !vocabulary.terms_file && vocabulary.domains.empty() && !weighted) {
    v.problem("vocabulary/domains",
              "names no domain whose text is mined for terms, and weights.domains gives none a "
              "weight; name domains of data.train here, or give a terms_file");
  }
  if (guard.domain) {
    check_domain(*guard.domain, "guard/domain", scored,
                 data.validation ? "data.held_out or data.train" : "data.held_out", v);
    if (guard.action == GuardAction::kRebalance) {
      check_domain(*guard.domain, "guard/domain", trained, "data.train", v);
    }
    if (train.eval_every == 0)
      v.problem("train/eval_every", "must be above 0 for the guard to act");
  }
}

}  // namespace hone::run

namespace hone::config::detail {

template void read_struct(Reading&, const Json&, const std::string&, run::Config&);
template void KeyLister::inner<run::Config>(const std::string&);
template Json write_value(const run::Config&, const std::string&, const std::set<std::string>&);
template void validate_value(const run::Config&, const std::string&, const Validation::IsSet&,
                             std::vector<Problem>&);
template Json value_schema(const run::Config&, const FieldAttributes&);

}  // namespace hone::config::detail
